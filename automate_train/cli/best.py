"""`automate-train best DIR`: which setting, why and how sure that is, and its settings as a default config file.

Covers: its flags, and which of them chooses the run. Not: the file (`report/best`), what a setting is chosen by
(`report/best_setting`).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ..errors import printable
from ..report.best import config_text, starred_run
from ..report.best_setting import by_epoch_loss, by_held_out, by_votes
from ..report.marks import read_marks
from ..report.sweep_data import epoch_checkpoint, lora_path, read_runs
from ..store.layout import find_sweep
from ..store.scores import read_scores
from ..store.votes import read_votes
from ..sweep.choice import describe, find_run
from .parser import Parser, run_word, whole


def parser() -> Parser:
    made = Parser(
        "best",
        "Which setting is best, why and how sure that is; and its settings as a default config file for another sweep\n"
        "(the file goes to standard output, the sentences go to the terminal and into the file's comments).",
    )
    made.sweep_dir()
    made.add_argument(
        "--marks", metavar="FILE", help="stars and notes that the page has exported; alone: the starred run"
    )
    either = made.add_mutually_exclusive_group()
    either.add_argument("--run", metavar="RUN", type=run_word, help="this run, by index or id, starred or not")
    text = "what the setting is chosen by; without any flag: held_out"
    either.add_argument("--by", choices=("held_out", "votes", "epoch_loss"), help=text)
    text = "the LoRA of this epoch, whose path is said (default: the finished one)"
    made.add_argument("--epoch", metavar="N", type=whole(1), help=text)
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
    elif flags.by == "votes":
        run, words = by_votes(runs, read_votes(folder.votes), source)
    else:
        run, words = by_held_out(runs, read_scores(folder), source)
    lora = epoch_checkpoint(folder, run, flags.epoch) if flags.epoch else lora_path(run)
    if lora:
        words = (*words, f"LoRA{f' of epoch {flags.epoch}' if flags.epoch else ''}: {lora}")
    print(*map(printable, (*words, f"{describe(run)}: {run.state}")), sep="\n", file=sys.stderr)
    sys.stdout.write(config_text(run, words, marks))
    return 0
