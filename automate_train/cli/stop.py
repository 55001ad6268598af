"""`automate-train stop DIR`: from another terminal, let a sweep start nothing more, or end what runs.

Covers: asking the sweep's process, and ending runs whose sweep has died. Not: how a sweep stops (`training/loop`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..executors.local import Local
from ..machine import lock
from ..store.journal import open_sweep
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
    if holder := lock.ask_to_stop(folder.lock, now):
        if now:
            yield f"{holder} ends {running} runs (10 s, then they are killed)"
        else:
            yield f"{holder} starts nothing more; {running} runs finish   (end them: stop {path} --now)"
        return
    local = Local()
    left = [
        (attempt, local.find(folder.attempt(attempt.folder), attempt.handle)) for attempt in journal.open_attempts()
    ]
    alive = [(attempt, handle) for attempt, handle in left if handle]
    if not alive:
        yield "nothing runs here"
    elif not now:
        yield f"the sweep's process is gone, and {len(alive)} of its runs go on   (end them: stop {path} --now)"
    for attempt, handle in alive if now else []:
        local.stop(handle, now=False)
        yield f"{attempt.folder}: ended ({local.describe(handle)})"
