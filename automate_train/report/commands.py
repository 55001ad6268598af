"""The commands of this room: flags -> calls.

Covers: `report`, `grid`, `best`; what they print. Not: printing errors (`cli`), the work (`build`, `grid`, `best`).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from ..cli.parser import Parser, number, spell
from ..display.status import open_sweep
from ..errors import UserError
from . import stars

DIR = "<temp_dir>/<project_name_base>, or a temp_dir with one sweep"


def report(argv: Sequence[str]) -> int:
    parser = Parser(prog="automate-train report", description="One page that compares a sweep.", allow_abbrev=False)
    add = parser.add_argument
    add("dir", metavar="DIR", help=DIR)
    add("--out", metavar="FILE", help="write there instead of DIR/report.html")
    add("--inline", action="store_true", help="put the pictures into the file (640 px), to send it as one")
    add("--marks", metavar="FILE", help="stars and notes that the page has exported")
    add("--seconds", metavar="S", default="45", help="time for new thumbnails (default 45)")
    flags = parser.parse_args(spell(argv))
    journal, folder = open_sweep(flags.dir)
    journal.close()
    given = stars.read(flags.marks) if flags.marks else []
    seconds = number("--seconds", flags.seconds)
    from .assemble import build

    began = time.monotonic()
    try:
        out = Path(flags.out).expanduser() if flags.out else None
        built = build(folder, out=out, inline=flags.inline, marks=given, seconds=seconds, strips=out is None)
    except OSError as error:
        raise UserError(f"cannot be written: {error}", source=flags.out or str(folder.path)) from error
    size = built.page.stat().st_size / 1e6
    took = time.monotonic() - began
    print(f"{built.page}   {built.runs} runs, {built.pictures} pictures, {size:.1f} MB, {took:.1f} s")
    if built.thumbs < built.pictures:
        from .thumbs import have_pillow

        missing = f"{built.pictures - built.thumbs} pictures are shown without thumbnails"
        todo = "the same command makes more" if have_pillow() else "pip install 'automate-train[report]'"
        print(f"{missing}: {todo}", file=sys.stderr)
    return 0


def grid(argv: Sequence[str]) -> int:
    parser = Parser(prog="automate-train grid", description="A labelled X/Y grid as one picture.", allow_abbrev=False)
    add = parser.add_argument
    add("dir", metavar="DIR", help=DIR)
    add("--x", metavar="KEY", required=True, help="columns: a varied key, epoch (or step), prompt, weight, run")
    add("--y", metavar="KEY", required=True, help="rows: the same")
    add("--prompt", metavar="N", help="which prompt (default: the first)")
    add("--at", metavar="KEY=VALUE", action="append", default=[], help="value of another axis (default: the first; "
        "of epoch: the last)")  # fmt: skip
    add("--side", metavar="PIXELS", default="256", help="longer side of each picture (default 256)")
    add("-o", "--out", metavar="FILE", required=True, help="the PNG or JPEG to write")
    flags = parser.parse_args(spell(argv))
    journal, folder = open_sweep(flags.dir)
    journal.close()
    from .grid import write_grid

    chosen = [*flags.at, *([f"prompt={flags.prompt}"] if flags.prompt is not None else [])]
    print(write_grid(folder, flags.x, flags.y, chosen, number("--side", flags.side, 16), Path(flags.out).expanduser()))
    return 0


def best(argv: Sequence[str]) -> int:
    text = "The chosen run's settings as a default config file, for the next sweep."
    parser = Parser(prog="automate-train best", description=text, allow_abbrev=False)
    parser.add_argument("dir", metavar="DIR", help=DIR)
    parser.add_argument("--marks", metavar="FILE", help="stars and notes that the page has exported")
    parser.add_argument("--run", metavar="INDEX", help="this run, starred or not")
    flags = parser.parse_args(spell(argv))
    if flags.marks is None and flags.run is None:
        hint = "--marks marks.json (the page's Marks > Export), or --run INDEX"
        raise UserError("which run is the best is yours to say", source="command line", hint=hint)
    journal, folder = open_sweep(flags.dir)
    rows = list(journal.rows())
    journal.close()
    given = stars.read(flags.marks) if flags.marks else []
    if flags.run is not None:
        index = number("--run", flags.run)
        chosen = next((row for row in rows if row.index == index), None)
        if chosen is None:
            indexes = ", ".join(str(row.index) for row in rows[:20])
            raise UserError(f"no run has the index {index}", source=str(folder.path), key="--run", hint=indexes)
    else:
        chosen = stars.choose(given, rows, flags.marks)
    from .best import config

    sys.stdout.write(config(chosen, stars.starred(given, rows).get(chosen.key, [])))
    return 0
