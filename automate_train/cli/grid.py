"""`automate-train grid DIR --x KEY --y KEY -o FILE`: sample pictures by two keys as one labelled picture.

Covers: its flags. Not: which pictures, and drawing them (`report/grid`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..report.grid import write_grid
from ..store.layout import find_sweep
from .parser import Parser, whole


def parser() -> Parser:
    made = Parser("grid", "A labelled X/Y grid as one picture.")
    made.sweep_dir()
    add = made.add_argument
    add("--x", metavar="KEY", required=True, help="columns: a varied key, epoch (or step), prompt, weight, run")
    add("--y", metavar="KEY", required=True, help="rows: the same")
    add("--prompt", metavar="N", help="which prompt (default: the first)")
    add("--at", metavar="KEY=VALUE", action="append", default=[],
        help="value of another axis (default: the first; of epoch: the last)")  # fmt: skip
    add("--side", metavar="PIXELS", type=whole(16), default=256, help="longer side of each picture (default 256)")
    add("-o", "--out", metavar="FILE", required=True, help="the PNG or JPEG to write")
    return made


def main(argv: Sequence[str]) -> int:
    flags = parser().parse(argv)
    at = [*flags.at, *([f"prompt={flags.prompt}"] if flags.prompt is not None else [])]
    print(write_grid(find_sweep(flags.dir), flags.x, flags.y, at, flags.side, Path(flags.out).expanduser()))
    return 0
