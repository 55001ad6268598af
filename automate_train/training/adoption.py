"""Attempts whose orchestrator is gone, as the loop takes them over.

Covers: finding them in the journal, and which of them still run; the first step of every sweep. What still lives of the
sweep and is not adopted is ended by the executor, and gone before anything starts: no run ever has two live attempts.
Not: what happens then (`loop.Loop.take_over`): what still runs is adopted, what ended is judged, the rest is lost.
"""

from __future__ import annotations

from collections.abc import Callable

from ..executors.protocol import Executor
from ..store.journal import Journal
from ..store.launch import read_launch
from ..store.layout import SweepFolder
from ..trainers import load
from .running_attempt import RunningAttempt


def left_behind(
    journal: Journal, folder: SweepFolder, executor: Executor, clock: Callable[[], float], now: Callable[[], float]
) -> list[RunningAttempt]:
    """Every attempt without an outcome; its handle is "" when it has ended."""
    attempts = journal.open_attempts()
    if not attempts and not journal.succeeded():
        return []
    records = {record.key: record for record in journal.records()} if attempts else {}
    folders = [folder.attempt(attempt.folder) for attempt in attempts]
    handles = [attempt.handle for attempt in attempts]
    running = executor.recover(folder.path, list(zip(folders, handles, strict=True)))
    found = []
    for attempt, place, handle in zip(attempts, folders, running, strict=True):
        record = records[attempt.run_key]
        found.append(
            RunningAttempt(
                attempt=attempt,
                run_key=record.key,
                label=f"run {record.number}",
                name=record.name,
                folder=place,
                devices=attempt.devices,
                handle=handle,
                began=clock() - max(0.0, now() - attempt.started),
                trainer=load(record.trainer),
                keep=dict(read_launch(place).keep),
                stop_on_nan=record.options.get("on_nan") != "ignore",
            )
        )
    return found
