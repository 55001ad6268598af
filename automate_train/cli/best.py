"""`automate-train best DIR`: the chosen run's settings as a default config file, for the next sweep.

Covers: its flags, and which of them chooses the run. Not: the file (`report/best`).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ..errors import UserError
from ..report.best import config_text, run_with_index, starred_run
from ..report.marks import read_marks
from ..report.sweep_data import read_runs
from ..store.layout import find_sweep
from .parser import Parser, whole


def parser() -> Parser:
    made = Parser("best", "The chosen run's settings as a default config file, for the next sweep.")
    made.sweep_dir()
    made.add_argument("--marks", metavar="FILE", help="stars and notes that the page has exported")
    made.add_argument("--run", metavar="INDEX", type=whole(0), help="this run, starred or not")
    return made


def main(argv: Sequence[str]) -> int:
    flags = parser().parse(argv)
    if flags.marks is None and flags.run is None:
        hint = "--marks marks.json (the page's Marks > Export), or --run INDEX"
        raise UserError("say which run is the best", source="command line", hint=hint)
    folder = find_sweep(flags.dir)
    runs = read_runs(folder)
    marks = read_marks(flags.marks) if flags.marks else []
    if flags.run is not None:
        run = run_with_index(runs, flags.run, str(folder.path))
    else:
        run = starred_run(runs, marks, flags.marks)
    sys.stdout.write(config_text(run, marks))
    return 0
