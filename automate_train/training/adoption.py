"""Attempts whose orchestrator is gone, as the loop takes them over.

Covers: finding them in the journal and their processes on this machine; the first step of every sweep. What still
lives of the sweep and is not adopted is ended here, and gone before anything starts: no run ever has two live attempts.
Not: what happens then (`scheduler.Loop.take_over`): what still runs is adopted, what ended is judged, the rest is lost.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping

from ..executors.local import Local
from ..store.journal import Journal
from ..store.layout import AttemptFolder, SweepFolder
from ..trainers import load
from .running_attempt import Active

GONE = (0, 0, "")
PATIENCE = 15.0
"""Seconds that killed processes get to disappear (a driver gives a GPU's memory back before they do)."""


def left_behind(
    journal: Journal, folder: SweepFolder, executor: Local, clock: Callable[[], float], now: Callable[[], float]
) -> list[Active]:
    """Every attempt without an outcome; `handle[0]` is 0 when its process is gone."""
    found = journal.open_attempts()
    rows = {row.key: row for row in journal.rows()} if found else {}
    living = executor.members(folder.path) if found or journal.succeeded() else {}
    actives = []
    for attempt_id, attempt in found:
        row = rows[attempt.run_key]
        run_folder, _, number = attempt.folder.rpartition("/attempt-")
        place = folder.attempt(run_folder, int(number))
        its = living.get(os.path.realpath(place.path), [])
        # A shell that was only just started may not have written its pid yet.
        shells = (executor.find(place, attempt.handle), *(executor.shell(place, pid) for pid, _ in its))
        actives.append(
            Active(
                id=attempt_id,
                run_key=row.key,
                label=f"run {row.number}",
                name=row.name,
                number=attempt.number,
                folder=place,
                devices=attempt.devices,
                handle=next(filter(None, shells), GONE),
                began=clock() - max(0.0, now() - attempt.started),
                trainer=load(row.options.get("trainer", "sd-scripts")),
                keep=place.read_keep(),
                stop_on_nan=row.options.get("on_nan") != "ignore",
            )
        )
    _end(executor, living, {active.handle[0] for active in actives})
    return actives


def _end(executor: Local, living: Mapping[str, list[tuple[int, int]]], kept: set[int]) -> None:
    """End what nobody waits for: trainers whose shell was killed (nobody could tell how they end), workers that
    outlived theirs. Only groups that a shell of ours led: what a person started by hand in an attempt's folder, or what
    has made itself independent, is left alone."""
    groups = set()
    for path, its in living.items():
        led = AttemptFolder(path).read_pid()
        groups |= {group for _, group in its if group == led and group not in kept}
    for group in groups:
        executor.stop((group, 0, ""), signal.SIGKILL)
    deadline = time.monotonic() + PATIENCE
    while any(executor.lingers((group, 0, "")) for group in groups) and time.monotonic() < deadline:
        time.sleep(0.01)
