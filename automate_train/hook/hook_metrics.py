"""The hook's own tracker beside accelerate's: it writes a training's numbers as events, at most two lines a second.

Covers: sd-scripts' network trainers (`loss/current`, `loss/average`, `lr/...`), its full trainers (`loss`, `lr/...`),
epochs' averages and validations. Not: images, tables, the run's settings: they are for the user's own trackers.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import Any

INTERVAL = 0.5
"""Seconds between two lines of metrics."""
POLL_INTERVAL = 5.0
"""Seconds between two calls of `poll`, which is called from a step: the training has no other clock."""
FIELDS = {"loss/current": "loss", "loss": "loss", "loss/average": "average"}


class Metrics:
    """To accelerate this is a tracker. A log with the step's loss is a step's: it is kept, and written at intervals.
    Any other log (an epoch's average, a validation) is rare and written at once, together with the step's; its `step`
    is not used, because sd-scripts gives the epoch's number there."""

    name = "automate_train"
    requires_logging_directory = False
    main_process_only = True

    def __init__(self, events: Any, poll: Callable[[], None] | None = None) -> None:
        self.events, self.poll = events, poll
        self.polled = time.monotonic()
        self.step: int | None = None
        self.finished = 0
        """Epochs that are over."""
        self.ended: dict[int, int] = {}
        """Epoch -> the step at its end."""
        self.epoch = 1
        self.kept: dict[str, Any] = {}
        """What was logged and is not written yet, by the trainer's names."""
        self.written = self.written_rare = 0.0
        self.was_bad = False

    @property
    def tracker(self) -> Metrics:
        return self

    def log(self, values: Mapping[str, Any], step: int | None = None, **_: Any) -> None:
        try:
            loss = values.get("loss/current", values.get("loss"))
            now = time.monotonic()
            if loss is None:
                self._rare(values, step, now)
                return
            self.kept.update(values)
            self.step, self.epoch = values.get("global_step", step), self.finished + 1
            bad = loss - loss != 0  # NaN or infinite
            if now - self.written >= INTERVAL or (bad and not self.was_bad):
                self.written, self.was_bad = now, bool(bad)
                self.flush()
            if self.poll is not None and now - self.polled >= POLL_INTERVAL:
                self.polled = now
                self.poll()
        except Exception as error:
            self.events.trouble("metrics", error)

    def _rare(self, values: Mapping[str, Any], step: int | None, now: float) -> None:
        self.kept.update(values)
        if "loss/epoch_average" in values or "loss/epoch" in values:
            self.epoch = self.finished = number(values.get("epoch"), step) or self.finished
            if self.step is not None:
                self.ended[self.finished] = self.step
        if values and now - self.written_rare >= INTERVAL:
            self.written_rare = now
            self.flush()

    def flush(self) -> None:
        values, self.kept = self.kept, {}
        epoch = number(values.pop("epoch", None), self.epoch)
        for key in ("global_step", "val_step"):
            values.pop(key, None)
        if not values:
            return
        fields: dict[str, Any] = {"step": self.step, "epoch": epoch}
        rates: dict[str, Any] = {}
        other: dict[str, Any] = {}
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
        if "loss" in fields and fields["loss"] - fields["loss"] != 0:
            fields["nan"] = True
        self.events.write("metrics", **fields)

    def start(self) -> None: ...

    def store_init_configuration(self, values: Any) -> None: ...

    def log_images(self, *args: Any, **kwargs: Any) -> None: ...

    def log_table(self, *args: Any, **kwargs: Any) -> None: ...

    def finish(self) -> None: ...


def number(value: Any, otherwise: int | None) -> int | None:
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return otherwise


def value_of(value: Any) -> Any:
    """The number in whatever holds one: tensors have `item()`."""
    if isinstance(value, (int, float, str)):
        return value
    return value.item() if hasattr(value, "item") else str(value)
