"""`automate-train logs DIR RUN`: what the trainer of a run has printed, as it was written.

Covers: the console of the newest attempt, followed until the run has ended. Not: what it means (`trainers/*`).
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence

from ..errors import UserError
from ..executors.local import Local
from ..records import RunRecord
from ..store.journal import Journal, open_sweep
from ..store.layout import SweepFolder
from ..sweep.choice import describe, find_run
from .parser import Parser, run_word

INTERVAL = 0.25
"""Seconds between two looks at a console that grows: nothing tells of it on every file system."""


def parser() -> Parser:
    made = Parser("logs", "What the trainer of a run has printed, as it was written.")
    made.sweep_dir()
    made.add_argument("run", metavar="RUN", type=run_word, help="the run's index or id")
    made.add_argument("-f", "--follow", action="store_true", help="go on until the run has ended")
    return made


def main(argv: Sequence[str]) -> int:
    flags = parser().parse(argv)
    journal, folder = open_sweep(flags.dir)
    record = _begun(journal, flags.run, flags.dir)
    # Beside what the trainer has printed, which is passed on as it is.
    print(describe(record), file=sys.stderr, flush=True)
    for data in console(folder, record, flags.follow):
        sys.stdout.buffer.write(data)
        sys.stdout.flush()
    return 0


def console(folder: SweepFolder, record: RunRecord, follow: bool) -> Iterator[bytes]:
    """The console of a run's newest attempt, piece by piece; `follow`: until the run has ended."""
    attempt = folder.attempt(record.folder)
    alive = _liveness(folder, record)
    try:
        with attempt.console.open("rb") as file:
            while True:
                # First whether it has ended, then what it printed: so the last lines are not missed.
                ended = not follow or attempt.read_exit_code() is not None or not alive()
                while data := file.read(1 << 16):
                    yield data
                if ended:
                    return
                time.sleep(INTERVAL)
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", source=str(attempt.console)) from error


def _liveness(folder: SweepFolder, record: RunRecord) -> Callable[[], bool]:
    """Whether the run's newest attempt still runs: it may end without an exit code."""
    newest = record.newest
    if newest is None or newest.outcome is not None:
        return lambda: False
    local, attempt = Local(), os.path.realpath(folder.path / newest.folder)
    return lambda: attempt in local.living(folder.path)


def _begun(journal: Journal, word: str, path: str) -> RunRecord:
    record = find_run(journal.records(), word, path)
    if not record.attempts:
        raise UserError(f"{record.label} has not begun", source=path, hint=f"automate-train status {path}")
    return record
