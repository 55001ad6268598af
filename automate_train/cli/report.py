"""`automate-train report DIR`: the comparison page of a sweep.

Covers: its flags, and what it prints about the page. Not: making it (`report/assemble`).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from ..errors import UserError, pip_install
from ..report.assemble import write_page
from ..report.marks import read_marks
from ..report.thumbs import have_pillow
from ..store.layout import find_sweep
from .parser import Parser, whole


def parser() -> Parser:
    made = Parser("report", "One page that compares a sweep.")
    made.sweep_dir()
    add = made.add_argument
    add("--out", metavar="FILE", help="write there instead of DIR/report.html")
    add("--inline", action="store_true", help="put the pictures into the file (640 px), to send it as one")
    add("--marks", metavar="FILE", help="stars and notes that the page has exported")
    add("--seconds", metavar="S", type=whole(0), default=45, help="time for new thumbnails (default 45)")
    return made


def main(argv: Sequence[str]) -> int:
    flags = parser().parse(argv)
    folder = find_sweep(flags.dir)
    marks = read_marks(flags.marks) if flags.marks else []
    began = time.monotonic()
    try:
        out = Path(flags.out).expanduser() if flags.out else None
        page = write_page(folder, out=out, inline=flags.inline, marks=marks, seconds=flags.seconds)
    except OSError as error:
        raise UserError(f"cannot be written: {error}", source=flags.out or str(folder.path)) from error
    size = page.path.stat().st_size / 1e6
    took = time.monotonic() - began
    print(f"{page.path}   {page.runs} runs, {page.pictures} pictures, {size:.1f} MB, {took:.1f} s")
    if page.thumbs < page.pictures:
        missing = f"{page.pictures - page.thumbs} pictures are shown without thumbnails"
        todo = "the same command makes more" if have_pillow() else pip_install("Pillow")
        print(f"{missing}: {todo}", file=sys.stderr)
    return 0
