"""How far a training is, by the events that it has reported.

Covers: `after`, the pure step from one event to the next that everybody uses (the loop keeps its result alone, which
stays small). Not: reading the events (`events`, a trainer's own reader), a run over all its attempts (`history`).
"""

from __future__ import annotations

import math
import os
from typing import NamedTuple

from ..records import Event, Resume


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
        text = f"training waits until the WebUI has drawn the samples of {_one_line(name)}, {seconds:.0f} s at most"
        return progress._replace(sample_wait=text if event.kind == "waits" else "")
    if event.kind == "end":
        return progress._replace(peak_memory=data.get("peak_memory"), sample_wait="")
    if event.kind == "trouble":
        trouble = f"{data.get('where', 'hook')}: {data.get('error', '')}"
        return progress._replace(trouble=_one_line(trouble))
    return progress


def _one_line(text: str) -> str:
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
