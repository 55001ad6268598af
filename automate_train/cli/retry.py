"""`automate-train retry DIR`: the sweep's own command again, for runs that have failed, were lost or cancelled.

Covers: which runs, and the command as the journal keeps it. Not: the sweep (`run`), automatic retries (`training`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from ..errors import UserError
from ..machine import lock
from ..records import RunRecord
from ..store.journal import open_sweep
from ..sweep.choice import describe, find_run
from . import run
from .parser import Parser, run_word

AGAIN = ("failed", "lost", "cancelled", "running")
"""States of runs that are run again. `running` without a sweep's process: nobody has seen how they ended, if they did
(what still runs, the sweep takes over)."""


def parser() -> Parser:
    made = Parser("retry", "Run failed, lost and cancelled runs again: the sweep's own command, for these runs alone.")
    made.sweep_dir()
    made.add_argument("runs", metavar="RUN", nargs="*", type=run_word,
                      help="only these, by index or id (default: all that did not succeed)")  # fmt: skip
    return made


def main(argv: Sequence[str]) -> int:
    flags = parser().parse(argv)
    command, cwd, chosen = again(flags.dir, flags.runs)
    if not chosen:
        print("every run that began has succeeded")
        return 0
    for record in chosen:
        print(describe(record))
    os.chdir(cwd)  # the sweep's relative paths begin there
    return run.main(command)


def again(path: str, words: Sequence[str]) -> tuple[tuple[str, ...], str, list[RunRecord]]:
    """(arguments, folder to be in) of the command that runs them again, and the runs. `words`: indexes and ids. The
    command names the runs by their ids: indexes may have moved since, with the lists."""
    journal, folder = open_sweep(path)
    if lock.is_held(folder.lock):
        raise lock.refusal(folder.lock)
    notes = journal.notes()
    records = list(journal.records())
    chosen = [find_run(records, word, path) for word in words]
    for record in chosen:
        if not record.attempts:
            raise UserError(f"{record.label} has not begun", source=path, hint=f"automate-train status {path}")
        if record.state == "succeeded":
            hint = "the sweep's own command with --rerun --only runs it again"
            raise UserError(f"{record.label} has succeeded", source=path, hint=hint)
    chosen = chosen or [record for record in records if record.in_sweep and record.state in AGAIN]
    argv, cwd = notes.get("command"), notes.get("cwd")
    if not isinstance(argv, list) or not isinstance(cwd, str):
        raise UserError("the journal does not say how the sweep was started", source=path)
    if not chosen:
        return (), cwd, []
    if any("***" in word for word in argv):
        hint = "give it in a config file, and type the sweep's command with --only"
        raise UserError("its command had a secret in --set, which is not kept", source=path, hint=hint)
    kept = run.without(argv, "--background", "--only", "--skip-to-index")
    return (*kept, "--only", ",".join(record.id for record in chosen)), cwd, chosen
