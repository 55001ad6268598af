"""Attempts whose orchestrator is gone, as the loop takes them over.

Covers: finding them in the journal and their processes on this machine; the first step of every sweep.
Not: what happens then (`scheduler.Loop.take_over`): what still runs is adopted, what ended is judged, the rest is lost.
"""

from __future__ import annotations

import signal
from collections.abc import Callable

from .active import Active
from .executors.local import Local
from .folder import SweepFolder
from .journal import Journal
from .trainers import load

GONE = (0, 0, "")


def left_behind(
    journal: Journal, folder: SweepFolder, executor: Local, clock: Callable[[], float], now: Callable[[], float]
) -> list[Active]:
    """Every attempt without an outcome; `handle[0]` is 0 when its process is gone."""
    found = journal.open_attempts()
    rows = {row.key: row for row in journal.rows()} if found else {}
    actives = []
    for attempt_id, attempt in found:
        row = rows[attempt.run_key]
        run_folder, _, number = attempt.folder.rpartition("/attempt-")
        place = folder.attempt(run_folder, int(number))
        handle = executor.find(place, attempt.handle)
        if handle is None and place.read_exit_code() is None and executor.orphaned(attempt.handle):
            # Its shell was killed and the trainer goes on: nobody could tell how it ends, so it does not go on.
            executor.stop(attempt.handle, signal.SIGKILL)
        actives.append(
            Active(
                id=attempt_id,
                run_key=row.key,
                label=f"run {row.number}",
                name=row.name,
                number=attempt.number,
                folder=place,
                devices=attempt.devices,
                handle=handle or GONE,
                began=clock() - max(0.0, now() - attempt.started),
                trainer=load(row.options.get("trainer", "sd-scripts")),
                keep=place.read_keep(),
                stop_on_nan=row.options.get("on_nan") != "ignore",
            )
        )
    return actives
