"""`automate-train stop DIR`: from another terminal, let a sweep start nothing more, or end what runs.

Covers: asking the sweep's process, and ending runs whose sweep has died. Not: how a sweep stops (`training/loop`).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence

from ..executors.local import Local
from ..executors.started import KILL_SECONDS
from ..machine import lock
from ..store.journal import open_sweep
from ..store.layout import SweepFolder
from ..training.loop import GRACE_SECONDS
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
            yield f"{holder} starts nothing more; {runs} finish   (end them: {end_them})"
        return
    local = Local()
    living = {os.path.relpath(path, os.path.realpath(folder.path)): handle
              for path, handle in local.living(folder.path).items()}  # fmt: skip
    if not living:
        yield "nothing runs here"
    elif not now:
        yield f"the sweep's process is gone, and {len(living)} of its runs go on   (end them: {end_them})"
    else:
        yield from _end(local, folder, living)


def _end(local: Local, folder: SweepFolder, living: Mapping[str, str]) -> Iterator[str]:
    """End attempts, by folder, that nobody waits for; what became of each."""
    how, left = "ended", dict(living)
    for force, seconds in ((False, GRACE_SECONDS), (True, KILL_SECONDS)):
        for handle in left.values():
            local.stop(handle, force)
        deadline = time.monotonic() + seconds
        while left and time.monotonic() < deadline:
            for inside, handle in list(left.items()):
                if not local.holders(handle, folder.attempt(inside), ()):
                    del left[inside]
                    yield f"{inside}: {how} ({local.describe(handle)})"
            time.sleep(0.02)
        how = f"killed, because it did not end within {GRACE_SECONDS:g} s"
    for inside, handle in left.items():
        yield f"{inside}: still there ({local.describe(handle)}): the system cannot end it"
