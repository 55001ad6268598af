"""How far a running attempt is, folded from the hook's events.

Covers: one pure step, `after(progress, event)`, and what is derived from it (speed, time left).
Not: reading the events (`folder`), showing them (`live`), judging the run (`trainers/*`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from ..records import Event


@dataclass(frozen=True)
class Progress:
    """All None or 0 until the trainer has told."""

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
    loss_sum: float = 0.0
    losses: int = 0
    nan_in_a_row: int = 0
    at: float | None = None
    """When `step` was told."""
    checkpoint: str = ""
    trouble: str = ""
    peak_memory: int | None = None
    """Bytes, told at the end: of its GPUs, or without one of the process itself."""

    @property
    def mean_loss(self) -> float | None:
        """Mean of the losses that were told (at most two a second): for comparing runs, not for publishing."""
        return self.loss_sum / self.losses if self.losses else None

    @property
    def speed(self) -> float | None:
        """Steps a second since training began."""
        if not self.step or self.at is None or self.training_since is None or self.at <= self.training_since:
            return None
        return self.step / (self.at - self.training_since)

    @property
    def seconds_left(self) -> float | None:
        if self.total is None or not self.speed:
            return None
        return max(0, self.total - self.step) / self.speed


def after(progress: Progress, event: Event) -> Progress:
    """The progress after one event. Events are untrusted: a value of a wrong type counts as not told."""
    data = event.data
    if progress.since is None:
        progress = replace(progress, since=event.at)
    if event.kind == "training":
        since = progress.training_since if progress.training_since is not None else event.at
        total, epochs = whole(data.get("total_steps")), whole(data.get("epochs"))
        return replace(progress, training_since=since, total=total or progress.total, epochs=epochs or progress.epochs)
    if event.kind == "metrics":
        return _metrics(progress, event)
    if event.kind == "checkpoint":
        path = data.get("path")
        return replace(
            progress,
            checkpoint=path if isinstance(path, str) else progress.checkpoint,
            epoch=max(progress.epoch, whole(data.get("epoch")) or 0),
            step=max(progress.step, whole(data.get("step")) or 0),
        )
    if event.kind == "end":
        return replace(progress, peak_memory=whole(data.get("peak_memory")))
    if event.kind == "trouble":
        return replace(progress, trouble=f"{data.get('where', 'hook')}: {data.get('error', '')}"[:500])
    return progress


def _metrics(progress: Progress, event: Event) -> Progress:
    data = event.data
    loss, average = _number(data.get("loss")), _number(data.get("average"))
    told = average if average is not None else loss
    step = whole(data.get("step"))
    nan = data.get("nan") is True
    return replace(
        progress,
        step=step if step is not None else progress.step,
        epoch=max(progress.epoch, whole(data.get("epoch")) or 0),
        at=event.at,
        loss=math.nan if nan else told if told is not None else progress.loss,
        loss_sum=progress.loss_sum + (loss or 0.0),
        losses=progress.losses + (loss is not None),
        nan_in_a_row=progress.nan_in_a_row + 1 if nan else 0 if told is not None else progress.nan_in_a_row,
    )


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def whole(value: Any) -> int | None:
    """An integer out of an untrusted event, else None."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None
