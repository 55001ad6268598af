"""Attempts whose orchestrator is gone, as the loop takes them over.

Covers: finding them in the journal, and which of them still run; the first step of every sweep. What still lives of the
sweep and is not adopted is ended by the executor, and gone before anything starts: no run ever has two live attempts.
Not: what happens then (`loop.Loop.take_over`): what still runs is adopted, what ended is judged, the rest is lost.
"""

from __future__ import annotations

import time

from ..executors.protocol import Executor
from ..store.history import Progress
from ..store.journal import Journal
from ..store.launch import read_launch, read_resume
from ..store.layout import SweepFolder
from ..trainers import load
from .running_attempt import RunningAttempt


def left_behind(journal: Journal, sweep: SweepFolder, executor: Executor) -> list[RunningAttempt]:
    """Every attempt without an outcome; its handle is "" when it has ended."""
    attempts = journal.open_attempts()
    if not journal.attempt_folders():
        return []  # nothing of the sweep can live
    folders = [sweep.attempt(attempt.folder) for attempt in attempts]
    known = [(folder, attempt.handle) for folder, attempt in zip(folders, attempts, strict=True)]
    handles = executor.recover(sweep.path, known)
    records = {record.key: record for record in journal.records()} if attempts else {}
    return [
        RunningAttempt(
            attempt=attempt,
            record=records[attempt.run_key],
            folder=folder,
            trainer=load(records[attempt.run_key].trainer),
            handle=handle,
            began=time.monotonic() - max(0.0, time.time() - attempt.started),
            keep=read_launch(folder).keep,
            progress=Progress.from_resume(read_resume(folder)),
        )
        for attempt, folder, handle in zip(attempts, folders, handles, strict=True)
    ]
