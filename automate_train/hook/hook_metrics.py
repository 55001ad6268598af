"""The hook's own tracker beside accelerate's: it writes a training's numbers as events, at most two lines a second.

Covers: sd-scripts' network trainers (`loss/current`, `loss/average`, `lr/...`), its full trainers (`loss`, `lr/...`),
epochs' averages and validations; the mean loss of each whole epoch over all its steps, also of those that get no line,
so that it is the same however busy the machine is (of several processes, the first one's batches). Not: images,
tables, the run's settings: they are for the user's own trackers.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .hook_events import Events

INTERVAL = 0.5
"""Seconds between two lines of metrics."""
POLL_INTERVAL = 5.0
"""Seconds between two calls of `poll`, which is called from a step: the training has no other clock."""
FIELDS = {"loss/current": "loss", "loss": "loss", "loss/average": "average"}


class Progress:
    """How far a training is, by the trainer's own count of steps."""

    def __init__(self, uncounted: int = 0) -> None:
        """`uncounted`: steps of the whole training that a resumed trainer leaves out."""
        self.uncounted = uncounted
        self.step: int | None = None
        self.total: int | None = None
        self.epochs: int | None = None
        self.ended: dict[int, int] = {}
        """Epoch -> the step at its end."""

    def step_of(self, epoch: int) -> int:
        """The step of the whole training at which an epoch ended, or must have ended."""
        if epoch not in self.ended and self.total and self.epochs:
            return min(self.total, round(self.total * epoch / self.epochs))
        return self.ended.get(epoch, self.step or 0) + self.uncounted


class Metrics:
    """To accelerate this is a tracker. A log with the step's loss is a step's: it is kept, and written at intervals.
    Any other log (an epoch's average, a validation) is rare and written at once, together with the step's; its `step`
    is not used, because sd-scripts gives the epoch's number there."""

    name = "automate_train"
    requires_logging_directory = False
    main_process_only = True

    def __init__(self, events: Events, progress: Progress, poll: Callable[[], None] | None = None) -> None:
        self.events, self.progress, self.poll = events, progress, poll
        self.polled = time.monotonic()
        self.finished = 0
        """Epochs that are over."""
        self.epoch = 1
        self.whole = True
        """Whether all steps of this epoch are logged here; False for one that a resumed training enters in the middle,
        which therefore has no `epoch_loss`."""
        self.loss_sum, self.losses, self.nan_steps = 0.0, 0, 0
        """Of this epoch's steps; those whose loss is NaN or infinite are only counted."""
        self.kept: dict[str, object] = {}
        """What was logged and is not written yet, by the trainer's names."""
        self.written = self.written_rare = 0.0
        self.was_bad = False

    @property
    def tracker(self) -> Metrics:
        return self

    def log(self, values: Mapping[str, object], step: int | None = None, **_: object) -> None:
        try:
            loss = values.get("loss/current", values.get("loss"))
            now = time.monotonic()
            if loss is None:
                self._rare(values, step, now)
                return
            self.kept.update(values)
            self.progress.step, self.epoch = number(values.get("global_step"), step), self.finished + 1
            bad = is_bad(loss)
            self._count(loss, bad)
            if now - self.written >= INTERVAL or (bad and not self.was_bad):
                self.written, self.was_bad = now, bad
                self.flush()
            if self.poll is not None and now - self.polled >= POLL_INTERVAL:
                self.polled = now
                self.poll()
        except Exception as error:
            self.events.trouble("metrics", error)

    def _count(self, loss: Any, bad: bool) -> None:
        if bad:
            self.nan_steps += 1
        else:
            self.loss_sum, self.losses = self.loss_sum + float(loss), self.losses + 1

    def _rare(self, values: Mapping[str, object], step: int | None, now: float) -> None:
        self.kept.update(values)
        if "loss/epoch_average" in values or "loss/epoch" in values:
            self.epoch = self.finished = number(values.get("epoch"), step) or self.finished
            if self.progress.step is not None:
                self.progress.ended[self.finished] = self.progress.step
            self._end_epoch()
        if values and now - self.written_rare >= INTERVAL:
            self.written_rare = now
            self.flush()

    def _end_epoch(self) -> None:
        if self.whole and self.losses + self.nan_steps:
            mean = self.loss_sum / self.losses if self.losses else None
            fields = {"step": self.progress.step, "epoch": self.finished}
            self.events.write("metrics", **fields, epoch_loss=mean, epoch_nan_steps=self.nan_steps)
        self.loss_sum, self.losses, self.nan_steps, self.whole = 0.0, 0, 0, True

    def flush(self) -> None:
        values, self.kept = self.kept, {}
        epoch = number(values.pop("epoch", None), self.epoch)
        for key in ("global_step", "val_step"):
            values.pop(key, None)
        if not values:
            return
        fields: dict[str, object] = {"step": self.progress.step, "epoch": epoch}
        rates: dict[str, object] = {}
        other: dict[str, object] = {}
        for key, value in values.items():
            if key in FIELDS:
                fields[FIELDS[key]] = value_of(value)
            elif key.startswith("lr/"):
                rates[key[3:]] = value_of(value)
            else:
                other[key] = value_of(value)
        named = {name: rate for name, rate in rates.items() if not re.fullmatch(r"group\d+", name)}
        fields["lr"] = named or rates  # sd-scripts logs the same rates again as `group1` and so on
        if other:
            fields["other"] = other
        # The step's own loss: sd-scripts' average stays NaN for ever after one NaN.
        if is_bad(fields.get("loss")):
            fields["nan"] = True
        self.events.write("metrics", **fields)

    def start(self) -> None: ...

    def store_init_configuration(self, values: object) -> None: ...

    def log_images(self, *args: object, **kwargs: object) -> None: ...

    def log_table(self, *args: object, **kwargs: object) -> None: ...

    def finish(self) -> None: ...


def number(value: Any, otherwise: int | None) -> int | None:
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return otherwise


def is_bad(value: object) -> bool:
    """Whether a number is NaN or infinite."""
    number = value_of(value)
    return isinstance(number, float) and not math.isfinite(number)


def value_of(value: object) -> object:
    """The number in whatever holds one: tensors have `item()`."""
    if isinstance(value, (int, float, str)):
        return value
    return value.item() if hasattr(value, "item") else str(value)
