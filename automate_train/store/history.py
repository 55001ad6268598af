"""What is known of a run over all its attempts, folded from what they reported into one line of steps.

Covers: `after`, the pure step from one event to the next that everybody uses (the loop keeps its result alone, which
stays small); `fold`, all attempts of a run as one `RunHistory`; `Histories`, which reads what `fold` needs.
Not: reading the events (`events`, a trainer's own reader), showing them (`display`, `report`), judging the run
(`trainers`).

An attempt that begins at step s (0, or the step of the state that it goes on from) replaces what earlier attempts
reported after s. One that ended before its first step replaces nothing.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ..records import Attempt, Checkpoint, Event, Resume, RunRecord
from .curves import Curve, Curves
from .events import checkpoint_of
from .journal import Journal
from .launch import read_resume
from .layout import AttemptFolder, SweepFolder

ReadEvents = Callable[[RunRecord, AttemptFolder, int], tuple[Sequence[Event], int]]
"""What an attempt has reported since a cursor, by its trainer's own reader (`trainers.events_of`)."""


class Progress(NamedTuple):
    """How far an attempt is. All None or 0 until the trainer has reported it."""

    start: int = 0
    """Steps that were done when it began: more than 0 when it goes on from a saved state."""
    since: float | None = None
    """Unix seconds of the first event."""
    training_since: float | None = None
    """Unix seconds at which the models were loaded and the latents cached."""
    step: int = 0
    total: int | None = None
    epochs: int | None = None
    epoch: int = 0
    """Finished epochs."""
    loss: float | None = None
    """The trainer's running average over the last epoch's steps, as its progress bar shows it; else the last loss."""
    epoch_loss: float | None = None
    """Mean of the trainer's loss over all steps of the newest whole epoch; None where all of them were NaN, too."""
    epoch_loss_step: int = 0
    """The step at that epoch's end."""
    epoch_nan_steps: int = 0
    """Steps of that epoch whose loss was NaN or infinite: they are left out of the mean."""
    nan_in_a_row: int = 0
    at: float | None = None
    """When `step` was reported."""
    checkpoint: str = ""
    trouble: str = ""
    sample_wait: str = ""
    """What the training stands still for, and how long at most."""
    peak_memory: int | None = None
    """Bytes, reported at the end: of its GPUs, or without one of the process itself."""

    @staticmethod
    def from_resume(resume: Resume | None) -> Progress:
        """Before the first event."""
        return Progress() if resume is None else Progress(resume.step, step=resume.step)

    @property
    def began(self) -> bool:
        """Whether it has done a step."""
        return self.step > self.start or bool(self.checkpoint)

    @property
    def speed(self) -> float | None:
        """Steps a second since training began."""
        done = self.step - self.start
        if done <= 0 or self.at is None or self.training_since is None or self.at <= self.training_since:
            return None
        return done / (self.at - self.training_since)

    @property
    def seconds_left(self) -> float | None:
        if self.total is None or not self.speed:
            return None
        return max(0, self.total - self.step) / self.speed


def after(progress: Progress, event: Event) -> Progress:
    """The progress after one event. A field that the event lacks leaves the progress as it is."""
    data = event.data
    if progress.since is None:
        progress = progress._replace(since=event.at)
    if event.kind == "training":
        since = progress.training_since if progress.training_since is not None else event.at
        total, epochs = data.get("total_steps") or progress.total, data.get("epochs") or progress.epochs
        return progress._replace(training_since=since, total=total, epochs=epochs)
    if event.kind == "metrics":
        return _after_metrics(progress, event)
    if event.kind == "checkpoint":
        return progress._replace(
            checkpoint=data.get("path") or progress.checkpoint,
            epoch=max(progress.epoch, data.get("epoch") or 0),
            step=max(progress.step, data.get("step") or 0),
        )
    if event.kind in ("waits", "waited"):
        name, seconds = os.path.basename(data.get("path") or ""), data.get("seconds") or 0
        text = f"training waits until the WebUI has drawn the samples of {printable(name)}, {seconds:.0f} s at most"
        return progress._replace(sample_wait=text if event.kind == "waits" else "")
    if event.kind == "end":
        return progress._replace(peak_memory=data.get("peak_memory"), sample_wait="")
    if event.kind == "trouble":
        trouble = f"{data.get('where', 'hook')}: {data.get('error', '')}"
        return progress._replace(trouble=printable(trouble))
    return progress


def printable(text: str) -> str:
    """A trainer's words as they may be shown in a terminal."""
    return "".join(each if each.isprintable() else " " for each in text[:500])


def _after_metrics(progress: Progress, event: Event) -> Progress:
    data = event.data
    loss, average, step, nan = data.get("loss"), data.get("average"), data.get("step"), data.get("nan") is True
    newest = average if average is not None else loss
    if "epoch_loss" in data or "epoch_nan_steps" in data:
        progress = progress._replace(
            epoch_loss=data.get("epoch_loss"),
            epoch_loss_step=progress.step if step is None else step,
            epoch_nan_steps=data.get("epoch_nan_steps") or 0,
        )
    return progress._replace(
        step=step if step is not None else progress.step,
        epoch=max(progress.epoch, data.get("epoch") or 0),
        at=event.at,
        loss=math.nan if nan else newest if newest is not None else progress.loss,
        nan_in_a_row=progress.nan_in_a_row + 1 if nan else 0 if newest is not None else progress.nan_in_a_row,
    )


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
