"""`automate-train retry DIR`: the sweep's own command again, for runs that have failed, were lost or cancelled.

Covers: which runs, and the command as the journal keeps it. Not: the sweep (`run`), automatic retries (`training`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from ..errors import UserError
from ..store.journal import open_sweep
from . import run
from .parser import Parser, whole

AGAIN = ("failed", "lost", "cancelled")


def parser() -> Parser:
    made = Parser("retry", "Run failed, lost and cancelled runs again: the sweep's own command, for these runs alone.")
    made.sweep_dir()
    made.add_argument("index", metavar="INDEX", nargs="*", type=whole(0),
                      help="only these (default: all that did not succeed)")  # fmt: skip
    return made


def main(argv: Sequence[str]) -> int:
    flags = parser().parse(argv)
    command, cwd = again(flags.dir, flags.index)
    if not command:
        print("every run that began has succeeded")
        return 0
    os.chdir(cwd)  # the sweep's relative paths begin there
    return run.main(command)


def again(path: str, indexes: Sequence[int]) -> tuple[tuple[str, ...], str]:
    """(arguments, folder to be in) of the command that runs them again."""
    journal, _ = open_sweep(path)
    notes = journal.notes()
    records = {record.index: record for record in journal.records()}
    for index in indexes:
        if index not in records or not records[index].attempts:
            raise UserError(f"run {index} has not begun", source=path, hint=f"automate-train status {path}")
        if records[index].state == "succeeded":
            hint = "the sweep's own command with --rerun --only runs it again"
            raise UserError(f"run {index} has succeeded", source=path, hint=hint)
    chosen = indexes or sorted(record.index for record in records.values() if record.state in AGAIN)
    argv, cwd = notes.get("command"), notes.get("cwd")
    if not isinstance(argv, list) or not isinstance(cwd, str):
        raise UserError("the journal does not say how the sweep was started", source=path)
    if not chosen:
        return (), cwd
    if any("=***" in word for word in argv):
        hint = "give it in a config file, and type the sweep's command with --only"
        raise UserError("its command had a secret in --set, which is not kept", source=path, hint=hint)
    kept = run.without(argv, "--background", "--only", "--skip-to-index")
    return (*kept, "--only", ",".join(map(str, chosen))), cwd
