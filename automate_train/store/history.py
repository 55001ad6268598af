"""What is known of a run over all its attempts, folded from what they reported into one line of steps.

Covers: `fold`, all attempts of a run as one `RunHistory`; `Histories`, which reads what `fold` needs. Not: one
attempt's progress from event to event (`progress`), reading the events (`events`, a trainer's own reader), showing them
(`display`, `report`), judging the run (`trainers`).

An attempt that begins at step s (0, or the step of the state that it goes on from) replaces what earlier attempts
reported after s. One that ended before its first step replaces nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ..records import Attempt, Checkpoint, Event, RunRecord
from .curves import Curve, Curves
from .events import checkpoint_of
from .journal import Journal
from .launch import read_resume
from .layout import AttemptFolder, SweepFolder
from .progress import Progress, after

ReadEvents = Callable[[RunRecord, AttemptFolder, int], tuple[Sequence[Event], int]]
"""What an attempt has reported since a cursor, by its trainer's own reader (`trainers.events_of`)."""


class RunHistory(NamedTuple):
    """A run over all its attempts."""

    record: RunRecord
    progress: Progress
    """Of the newest attempt that counts, in steps of the whole training."""
    attempts: tuple[int, ...]
    """Numbers of the attempts of which something is left in the line, oldest first."""
    seconds: float | None
    """How long those of them that have ended took together."""
    checkpoints: tuple[Checkpoint, ...]
    """Oldest first."""
    curves: Mapping[str, Curve] = {}
    """Metric -> its points; empty in a brief history, which lacks what follows, too."""
    memory: float | None = None
    """Highest device memory that was reported, bytes."""
    nan_steps: int = 0
    """Logged steps whose loss was NaN."""
    pictures: Mapping[int, Sequence[Event]] = {}
    """Attempt's number -> the pictures that it has reported."""

    @property
    def epoch_ends(self) -> dict[int, int]:
        """Epoch -> step of its last checkpoint."""
        ends = ((each.epoch, each.step) for each in self.checkpoints)
        return {epoch: step for epoch, step in ends if epoch is not None and step is not None}

    @property
    def resumed_from(self) -> int:
        """The step from which the newest attempt that counts went on; 0 for one that began from the start."""
        return self.progress.start

    @property
    def metrics(self) -> Mapping[str, Any]:
        """What the newest attempt left when it ended: delivered, checkpoint and others."""
        return self.record.newest.metrics if self.record.newest else {}


class AttemptHistory:
    """What one attempt has reported; more events may follow."""

    def __init__(self, folder: AttemptFolder, start: int, *, with_curves: bool) -> None:
        self.folder, self.with_curves = folder, with_curves
        self.progress = Progress(start, step=start)
        self.checkpoints: dict[str, Checkpoint] = {}
        self.curves = Curves()
        self.pictures: list[Event] = []

    def take(self, events: Iterable[Event]) -> None:
        for event in events:
            self.progress = after(self.progress, event)
            if (saved := checkpoint_of(event, self.folder.number)) is not None:
                self.add(saved)
            if self.with_curves and event.kind == "metrics":
                self.curves.add(event, event.at - (self.progress.since or event.at))
            if self.with_curves and event.kind == "picture":
                self.pictures.append(event)

    def add(self, saved: Checkpoint) -> None:
        path = self.folder.now(saved.path)
        self.checkpoints[path] = saved._replace(path=path)

    def end(self, metrics: Mapping[str, Any]) -> None:
        """The attempt has ended, and its events need not be read: what it left stands for them."""
        self.progress = self.progress._replace(
            step=metrics.get("steps", self.progress.step),
            total=metrics.get("total_steps", self.progress.total),
            loss=metrics.get("loss"),
            epoch_loss=metrics.get("epoch_loss"),
            epoch_loss_step=metrics.get("epoch_loss_step", 0),
            epoch_nan_steps=metrics.get("epoch_nan_steps", 0),
            checkpoint=metrics.get("checkpoint", ""),
            peak_memory=metrics.get("peak_memory"),
        )


def fold(record: RunRecord, attempts: Iterable[tuple[Attempt, AttemptHistory]]) -> RunHistory:
    """One line out of what the attempts have reported, oldest first."""
    parts: list[tuple[Attempt, AttemptHistory]] = []
    progress, curves = Progress(), Curves()
    checkpoints: dict[str, Checkpoint] = {}
    for attempt, part in attempts:
        start = part.progress.start
        if parts and attempt.outcome is not None and not part.progress.began and not part.checkpoints:
            continue
        parts = [*(each for each in parts if each[1].progress.start < start), (attempt, part)]
        checkpoints = {path: each for path, each in checkpoints.items() if (each.step or 0) <= start > 0}
        checkpoints |= part.checkpoints
        curves.go_on(start, part.curves)
        known = progress if start else Progress()
        # An epoch that it began in the middle of has no mean: the newest whole epoch is then one of before.
        whole = known if not part.progress.epoch_loss_step and known.epoch_loss_step <= start else part.progress
        progress = part.progress._replace(
            total=part.progress.total or known.total,
            epochs=part.progress.epochs or known.epochs,
            epoch=max(part.progress.epoch, *(each.epoch or 0 for each in checkpoints.values()), 0),
            epoch_loss=whole.epoch_loss,
            epoch_loss_step=whole.epoch_loss_step,
            epoch_nan_steps=whole.epoch_nan_steps,
        )
    seconds = [attempt.metrics["seconds"] for attempt, _ in parts if "seconds" in attempt.metrics]
    return RunHistory(
        record,
        progress,
        tuple(attempt.number for attempt, _ in parts),
        round(sum(seconds), 3) if seconds else None,
        tuple(sorted(checkpoints.values(), key=lambda each: each.at)),
        curves.thinned(),
        curves.memory(),
        len(curves.nan_steps),
        {attempt.number: part.pictures for attempt, part in parts},
    )


class Histories(Mapping[str, RunHistory]):
    """The histories of a sweep's runs, read from its journal and its attempts' folders. As a mapping: run key -> the
    brief history of each run that has begun, as it is now."""

    def __init__(self, folder: SweepFolder, journal: Journal, read_events: ReadEvents) -> None:
        self._folder, self.journal, self._read = folder, journal, read_events
        self._open: dict[str, tuple[AttemptHistory, int]] = {}
        """Attempt's folder -> what it had reported when it was last read, and the cursor."""

    def __getitem__(self, key: str) -> RunHistory:
        record = self.journal.record(key) if self.journal.has_begun(key) else None
        if record is None:
            raise KeyError(key)
        return self.brief(record)

    def __iter__(self) -> Iterator[str]:
        return (record.key for record in self.journal.records() if record.attempts)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def brief(self, record: RunRecord) -> RunHistory:
        """From the journal, and the events of what has no outcome yet, of which each call reads only what is new:
        quick for thousands of runs, and without curves."""
        saved = self.journal.checkpoints(record.key)
        return fold(record, [(attempt, self._brief(record, attempt, saved)) for attempt in record.attempts])

    def full(self, record: RunRecord) -> RunHistory:
        """From all events of the attempts."""
        attempts = []
        for attempt in record.attempts:
            folder = self._folder.attempt(attempt.folder)
            history = AttemptHistory(folder, self._start(attempt), with_curves=True)
            history.take(self._read(record, folder, 0)[0])
            attempts.append((attempt, history))
        return fold(record, attempts)

    def _brief(self, record: RunRecord, attempt: Attempt, saved: Sequence[Checkpoint]) -> AttemptHistory:
        known, folder = self._open.pop(attempt.folder, None), self._folder.attempt(attempt.folder)
        history, cursor = known or (AttemptHistory(folder, self._start(attempt), with_curves=False), 0)
        for each in saved:
            if each.attempt == attempt.number:
                history.add(each)
        if known or attempt.outcome is None:
            events, cursor = self._read(record, folder, cursor)
            history.take(events)
        if attempt.outcome is not None:
            history.end(attempt.metrics)
        else:
            self._open[attempt.folder] = history, cursor
        return history

    def _start(self, attempt: Attempt) -> int:
        resume = read_resume(self._folder.attempt(attempt.folder))
        return resume.step if resume is not None else 0
