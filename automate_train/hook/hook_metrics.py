"""The hook's tracker: a training's numbers, at most two lines a second.

Covers: sd-scripts' network trainers (`loss/current`, `loss/average`, `lr/...`), its full trainers (`loss`, `lr/...`),
epochs' averages and validations. Not: pictures, tables, the run's settings: they are for the user's own trackers.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import Any

INTERVAL = 0.5
"""Seconds between two lines of metrics."""
LOOK_INTERVAL = 5.0
"""Seconds between two calls of `look`: steps are the training's clock."""
FIELDS = {"loss/current": "loss", "loss": "loss", "loss/average": "average"}


class Metrics:
    """A tracker in accelerate's eyes. In ours, a log with the step's loss is a step's: kept, and written when it is
    time. Any other (an epoch's average, a validation) is rare and written at once with the step's; its `step` is not
    trusted, sd-scripts gives the epoch's number there."""

    name = "automate_train"
    requires_logging_directory = False
    main_process_only = True

    def __init__(
        self,
        write: Callable[..., None],
        trouble: Callable[[str, Exception], None],
        look: Callable[[], None] | None = None,
    ) -> None:
        self.write, self.trouble, self.look = write, trouble, look
        self.looked = time.monotonic()
        self.step: int | None = None
        self.finished = 0
        """Epochs that are over."""
        self.ended: dict[int, int] = {}
        """Epoch -> the step at its end."""
        self.epoch = 1
        self.kept: dict[str, Any] = {}
        """What was logged and not yet written, by the trainer's own names."""
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
            if self.look is not None and now - self.looked >= LOOK_INTERVAL:
                self.looked = now
                self.look()
        except Exception as error:
            self.trouble("metrics", error)

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
        fields["lr"] = named or rates  # sd-scripts gives the same rates again under `group1` and so on
        if other:
            fields["other"] = other
        if any(value - value != 0 for key, value in fields.items() if key in ("loss", "average")):
            fields["nan"] = True
        self.write("metrics", **fields)

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
    """A number out of whatever stands for one: tensors have `item()`."""
    if isinstance(value, (int, float, str)):
        return value
    return value.item() if hasattr(value, "item") else str(value)
