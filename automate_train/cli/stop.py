"""`automate-train stop DIR`: from another terminal, let a sweep start nothing more, or end what runs.

Covers: asking the sweep's process; ending runs whose sweep has died, and writing that down.
Not: how a sweep stops (`training/loop`).
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence, Set

from ..errors import UserError
from ..executors import Executor, of_sweep
from ..executors.attempt_processes import KILL_SECONDS
from ..machine import lock
from ..store.journal import Journal, JournalError, open_sweep
from ..store.layout import SweepFolder
from ..store.rebuild import open_journal
from ..training.adoption import handles_of, left_behind
from ..training.loop import GRACE_SECONDS
from ..training.running_attempt import STOPPED
from ..training.signals import StopSignals
from .parser import Parser


def parser() -> Parser:
    made = Parser("stop", "Let a sweep finish what runs and start nothing more. The sweep's own command goes on later.")
    made.sweep_dir()
    made.add_argument("--now", action="store_true", help="end what runs: SIGTERM, after 10 s SIGKILL")
    return made


def main(argv: Sequence[str]) -> int:
    flags = parser().parse(argv)
    for line in stop(flags.dir, flags.now):
        print(line)
    return 0


def stop(path: str, now: bool) -> Iterator[str]:
    """Ask the sweep's process to start nothing more, or (`now`) to end what runs; without one, end what it left."""
    journal, folder = open_sweep(path)
    running = sum(record.state == "running" for record in journal.records())  # before they can have ended
    end_them = f"automate-train stop {path} --now"
    if holder := lock.ask_to_stop(folder.lock, now):
        runs = f"{running} run{'s' * (running != 1)}"
        if not running:
            yield f"{holder} ends: nothing is running"
        elif now:
            yield f"{holder} ends {runs} (after 10 s with SIGKILL)"
        else:
            yield f"{holder} starts nothing more; {runs} may finish   (end them: {end_them})"
        return
    executor = of_sweep(folder)
    living = _living(executor, folder, journal)
    if not living:
        yield "nothing runs here"
    elif not now:
        yield f"the sweep's process is gone, and {len(living)} of its runs go on   (end them: {end_them})"
    else:
        # Under the lock: a sweep that starts meanwhile would take over what is being ended, and call it failed.
        with StopSignals() as signals, _held(folder):
            yield from _end(executor, folder, living := _living(executor, folder, journal), signals)
            with contextlib.suppress(OSError, JournalError, UserError):  # a full or broken disk
                _write_down(executor, folder, living.keys())


def _living(executor: Executor, folder: SweepFolder, journal: Journal) -> dict[str, str]:
    """Attempts of which something lives: folder inside the sweep's -> handle."""
    home = os.path.realpath(folder.path)
    found = executor.living(folder.path, handles_of(journal.open_attempts(), folder))
    return {os.path.relpath(path, home): handle for path, handle in found.items()}


@contextlib.contextmanager
def _held(folder: SweepFolder) -> Iterator[None]:
    """Hold the sweep's lock; on a disk that has become read-only, without it."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(lock.held(folder.lock))
        except UserError:
            if lock.is_held(folder.lock):
                raise
        yield


def _end(executor: Executor, folder: SweepFolder, living: Mapping[str, str], signals: StopSignals) -> Iterator[str]:
    """End attempts, by folder, that nobody waits for; what became of each. Who asks once more (Ctrl-C, another
    `stop --now`) has them killed at once, and then does not wait for their end."""
    how, left = "ended", dict(living)
    for force, seconds in ((False, GRACE_SECONDS), (True, KILL_SECONDS)):
        for handle in left.values():
            executor.stop(handle, force)
        deadline = time.monotonic() + seconds
        while left and time.monotonic() < deadline and signals.interrupts <= force:
            for inside, handle in list(left.items()):
                if not executor.holders(handle, folder.attempt(inside), ()):
                    del left[inside]
                    yield f"{inside}: {how} ({executor.describe(handle)})"
            time.sleep(0.02)
        how = "killed" if signals.interrupts else f"killed, because it did not end within {GRACE_SECONDS:g} s"
    for inside, handle in left.items():
        yield f"{inside}: still there ({executor.describe(handle)}): the system cannot end it"


def _write_down(executor: Executor, folder: SweepFolder, stopped: Set[str]) -> None:
    """What was ended is cancelled, unless it succeeded: the next start would call it failed, or lost."""
    with contextlib.closing(open_journal(folder, print)) as journal:
        for attempt in left_behind(journal, folder, executor).ended:
            if attempt.attempt.folder in stopped:
                attempt.ended_by_us = STOPPED
                saved = attempt.read()
                attempt.seconds = attempt.seconds_told()
                with journal.transaction():
                    for checkpoint in saved:
                        journal.add_checkpoint(attempt.id, checkpoint)
                    journal.end(attempt.attempt, attempt.judge(None), time.time(), attempt.metrics())
