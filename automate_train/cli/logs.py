"""`automate-train logs DIR RUN`: what the trainer of a run has printed.

Covers: the console of the newest attempt, followed until the run has ended: into a file or pipe byte by byte, on a
terminal without what would steer it. Not: what it means (`trainers/*`).
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from ..errors import UserError
from ..executors import of_sweep
from ..records import RunRecord
from ..store.files import open_regular
from ..store.journal import Journal, open_sweep
from ..store.layout import SweepFolder
from ..sweep.choice import describe, find_run
from ..training.adoption import handles_of
from .parser import Parser, run_word

INTERVAL = 0.25
"""Seconds between two looks at a console that grows: nothing tells of it on every file system."""

STEERING = re.compile(
    rb"(?P<colour>\x1b\[[0-9;:]*m)|\x1b[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)?|\x1b\[[0-?]*[ -/]*[@-~]|\x1b[ -/]*[0-~]"
    rb"|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\xc2[\x80-\x9f]"
)
UNFINISHED = re.compile(rb"(?:\xc2|\x1b(?:\[[0-?]*[ -/]*|[\]PX^_][^\x07\x1b\n]*\x1b?|[ -/]*))\Z")
LONGEST = 4096
"""Bytes of a sequence that has not ended."""


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
    pieces = console(folder, record, flags.follow)
    for data in for_terminal(pieces) if sys.stdout.isatty() else pieces:
        sys.stdout.buffer.write(data)
        sys.stdout.flush()
    return 0


def for_terminal(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """What a terminal shows of a console: lines, progress bars and colours, and nothing that sets its title, moves its
    cursor or makes it answer, for its answer would be typed into the shell. A sequence may lie in two pieces."""
    held = b""
    for piece in pieces:
        data = held + piece
        unfinished = UNFINISHED.search(data)
        end = unfinished.start() if unfinished else len(data)
        held = data[end:][:LONGEST]
        yield STEERING.sub(lambda match: match["colour"] or b"", data[:end])
    yield b"\x1b[0m"


def console(folder: SweepFolder, record: RunRecord, follow: bool) -> Iterator[bytes]:
    """The console of a run's newest attempt, piece by piece; `follow`: until the run has ended."""
    attempt = folder.attempt(record.folder)
    alive = _liveness(folder, record)
    while follow and not attempt.console.exists() and alive():  # it waits in a queue
        time.sleep(INTERVAL)
    if not attempt.console.exists() and not attempt.exit_code.exists():
        raise UserError(f"{record.label} has printed nothing: it has not begun", source=str(attempt.path))
    try:
        with open_regular(attempt.console) as file:
            while True:
                # First whether it has ended, then what it printed: so the last lines are not missed.
                ended = not follow or attempt.read_exit_code() is not None or not alive()
                while data := file.read(1 << 16):
                    yield data
                if ended:
                    return
                time.sleep(INTERVAL)
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror or error}", source=str(attempt.console)) from error


def _liveness(folder: SweepFolder, record: RunRecord) -> Callable[[], bool]:
    """Whether the run's newest attempt still runs: it may end without an exit code."""
    newest = record.newest
    if newest is None or newest.outcome is not None:
        return lambda: False
    executor, attempt = of_sweep(folder), os.path.realpath(folder.path / newest.folder)
    return lambda: attempt in executor.living(folder.path, handles_of([newest], folder))


def _begun(journal: Journal, word: str, path: str) -> RunRecord:
    record = find_run(journal.records(), word, path)
    if not record.attempts:
        raise UserError(f"{record.label} has not begun", source=path, hint=f"automate-train status {path}")
    return record
