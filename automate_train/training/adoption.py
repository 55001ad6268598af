"""Attempts whose orchestrator is gone, as the loop takes them over.

Covers: finding them in the journal, and which of them still run; the first step of every sweep. What still lives of the
sweep and is not adopted is ended by the executor, and gone before anything starts: no run ever has two live attempts.
Not: what happens then (`loop.Loop.take_over`): what still runs is adopted, what ended is judged, the rest is lost.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from typing import NamedTuple

from ..executors.protocol import Executor
from ..records import Attempt, RunRecord
from ..store.journal import Journal
from ..store.launch import read_launch, read_resume
from ..store.layout import AttemptFolder, SweepFolder
from ..store.progress import Progress
from ..trainers import load
from . import latents_cache
from .running_attempt import RunningAttempt


class LeftBehind(NamedTuple):
    adopted: list[RunningAttempt]
    """They still run."""
    ended: list[RunningAttempt]
    """They ended while nobody looked."""
    elsewhere: list[tuple[RunRecord, str]]
    """Runs that another machine still trains, and its name."""
    occupying: list[RunningAttempt]
    """They have ended, and something of them that could not be ended may hold their devices."""


def left_behind(journal: Journal, sweep: SweepFolder, executor: Executor) -> LeftBehind:
    """Every attempt without an outcome, and what is left of the others."""
    attempts = journal.open_attempts()
    recovered = executor.recover(sweep.path, handles_of(attempts, sweep))
    found = LeftBehind([], [], [], [])
    if not attempts and not recovered.left:
        return found
    records = list(journal.records())
    by_key = {record.key: record for record in records}
    for attempt, state in zip(attempts, recovered.attempts, strict=True):
        record = by_key[attempt.run_key]
        if state.elsewhere:
            found.elsewhere.append((record, state.elsewhere))
        else:
            (found.adopted if state.handle else found.ended).append(_running(record, attempt, sweep, state.handle))
    left = {os.path.relpath(path, os.path.realpath(sweep.path)) for path in recovered.left}
    known = [(record, attempt) for record in records for attempt in record.attempts if attempt.folder in left]
    found.occupying.extend(_running(record, attempt, sweep, "") for record, attempt in known)
    return found


def handles_of(attempts: Iterable[Attempt], sweep: SweepFolder) -> list[tuple[AttemptFolder, str]]:
    """Attempts as an executor is asked about them: by their folder and handle."""
    return [(sweep.attempt(each.folder), each.handle) for each in attempts]


def _running(record: RunRecord, attempt: Attempt, sweep: SweepFolder, handle: str) -> RunningAttempt:
    folder = sweep.attempt(attempt.folder)
    launch = read_launch(folder)
    return RunningAttempt(
        attempt=attempt,
        record=record,
        folder=folder,
        trainer=load(record.trainer),
        handle=handle,
        began=time.monotonic() - max(0.0, time.time() - attempt.started),
        keep=launch.keep,
        progress=Progress.from_resume(read_resume(folder)),
        # Of several that share a cache only one was started before it was filled.
        filling=tuple(cache for cache in launch.caches if not latents_cache.is_filled(cache)),
    )
