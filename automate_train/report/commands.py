"""The commands `report`, `grid` and `best`: flags -> calls."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from ..cli.parser import Parser, number, spell
from ..errors import UserError
from ..store.layout import find_sweep
from .assemble import write_page
from .best import config_text, run_with_index, starred_run
from .grid import write_grid
from .marks import read_marks
from .sweep_data import read_runs
from .thumbs import have_pillow

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
    folder = find_sweep(flags.dir)
    marks = read_marks(flags.marks) if flags.marks else []
    seconds = number("--seconds", flags.seconds)
    began = time.monotonic()
    try:
        out = Path(flags.out).expanduser() if flags.out else None
        page = write_page(folder, out=out, inline=flags.inline, marks=marks, seconds=seconds)
    except OSError as error:
        raise UserError(f"cannot be written: {error}", source=flags.out or str(folder.path)) from error
    size = page.path.stat().st_size / 1e6
    took = time.monotonic() - began
    print(f"{page.path}   {page.runs} runs, {page.pictures} pictures, {size:.1f} MB, {took:.1f} s")
    if page.thumbs < page.pictures:
        missing = f"{page.pictures - page.thumbs} pictures are shown without thumbnails"
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
    at = [*flags.at, *([f"prompt={flags.prompt}"] if flags.prompt is not None else [])]
    side, out = number("--side", flags.side, 16), Path(flags.out).expanduser()
    print(write_grid(find_sweep(flags.dir), flags.x, flags.y, at, side, out))
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
        raise UserError("say which run is the best", source="command line", hint=hint)
    folder = find_sweep(flags.dir)
    runs = read_runs(folder)
    marks = read_marks(flags.marks) if flags.marks else []
    if flags.run is not None:
        run = run_with_index(runs, number("--run", flags.run), str(folder.path))
    else:
        run = starred_run(runs, marks, flags.marks)
    sys.stdout.write(config_text(run, marks))
    return 0
