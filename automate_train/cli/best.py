"""`automate-train best DIR`: the chosen run's settings as a default config file, for the next sweep.

Covers: its flags, and which of them chooses the run. Not: the file (`report/best`), what a setting is chosen by
(`report/best_setting`).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ..report.best import config_text, starred_run
from ..report.best_setting import by_epoch_loss, by_held_out
from ..report.marks import read_marks
from ..report.sweep_data import read_runs
from ..store.layout import find_sweep
from ..store.scores import read_scores
from ..sweep.choice import describe, find_run
from .parser import Parser, run_word


def parser() -> Parser:
    made = Parser("best", "The chosen run's settings as a default config file, for the next sweep.")
    made.sweep_dir()
    made.add_argument("--marks", metavar="FILE", help="stars and notes that the page has exported")
    either = made.add_mutually_exclusive_group()
    either.add_argument("--run", metavar="RUN", type=run_word, help="this run, by index or id, starred or not")
    text = "the setting with the lowest mean over its seeds; without any flag: held_out, where checkpoints have scores"
    either.add_argument("--by", choices=("held_out", "epoch_loss"), help=text)
    return made


def main(argv: Sequence[str]) -> int:
    flags = parser().parse(argv)
    folder = find_sweep(flags.dir)
    runs, source = read_runs(folder), str(folder.path)
    marks = read_marks(flags.marks) if flags.marks else []
    words: tuple[str, ...] = ()
    if flags.run is not None:
        run = find_run(runs, flags.run, flags.dir)
    elif flags.by is None and flags.marks is not None:
        run = starred_run(runs, marks, flags.marks)
    elif flags.by == "epoch_loss":
        run, words = by_epoch_loss(runs, source)
    else:
        run, words = by_held_out(runs, read_scores(folder), source)
    print(*words, f"{describe(run)}: {run.state}", sep="\n", file=sys.stderr)
    sys.stdout.write(config_text(run, marks))
    return 0
