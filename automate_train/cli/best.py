"""`automate-train best DIR`: the chosen run's settings as a default config file, for the next sweep.

Covers: its flags, and which of them chooses the run. Not: the file (`report/best`).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ..errors import UserError
from ..report.best import config_text, starred_run
from ..report.marks import read_marks
from ..report.sweep_data import read_runs
from ..store.layout import find_sweep
from ..sweep.choice import describe, find_run
from .parser import Parser, run_word


def parser() -> Parser:
    made = Parser("best", "The chosen run's settings as a default config file, for the next sweep.")
    made.sweep_dir()
    made.add_argument("--marks", metavar="FILE", help="stars and notes that the page has exported")
    made.add_argument("--run", metavar="RUN", type=run_word, help="this run, by index or id, starred or not")
    return made


def main(argv: Sequence[str]) -> int:
    flags = parser().parse(argv)
    if flags.marks is None and flags.run is None:
        hint = "--marks marks.json (the page's Marks > Export), or --run with an index or id"
        raise UserError("say which run is the best", source="command line", hint=hint)
    folder = find_sweep(flags.dir)
    runs = read_runs(folder)
    marks = read_marks(flags.marks) if flags.marks else []
    run = find_run(runs, flags.run, flags.dir) if flags.run is not None else starred_run(runs, marks, flags.marks)
    print(f"{describe(run)}: {run.state}", file=sys.stderr)
    sys.stdout.write(config_text(run, marks))
    return 0
