"""The training stands still after a checkpoint until its samples are drawn, for a WebUI on the same GPU.

Covers: at which checkpoints it waits (the rule of `sampling/schedule`, which nothing here can import; a test compares
them), for how long, the events `waits` and `waited`; a file that ends the waiting for good, which a person's Ctrl-C
makes. Not: who draws the samples. Only for attempts whose hook.json has `wait_for_samples`.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._types import Settings
    from .hook_events import Events

LIMIT_OF_SEVERAL = 300.0
"""Seconds, where several processes train: the others wait in a collective call, which gives up after ten minutes."""


class SampleWait:
    """`settings` is hook.json: `wait_for_samples` in seconds, `sample_opt` (epoch or step), `sample_num`."""

    def __init__(self, settings: Settings, events: Events) -> None:
        self.events = events
        self.limit = float(settings["wait_for_samples"])
        if int(os.environ.get("WORLD_SIZE") or 1) > 1:
            self.limit = min(self.limit, LIMIT_OF_SEVERAL)
        self.unit = settings.get("sample_opt") or "epoch"
        self.count = max(1, int(settings.get("sample_num") or 1))

    def wait(self, path: str, which: str, epoch: int | None, step: int | None) -> None:
        """Return when the checkpoint's samples are final or not due; `TimeoutError` when the time is over."""
        if not is_due(which, epoch, step, self.unit, self.count):
            return
        folder, name = os.path.split(path)
        final = os.path.join(folder, "sample", f"{os.path.splitext(name)[0]}.final")
        ends = (final, os.path.join(folder, "sample", ".go-on"))
        free_gpu_memory()
        self.events.write("waits", path=path, seconds=self.limit)
        try:
            self._wait(ends, name)
        finally:
            self.events.write("waited")

    def _wait(self, ends: tuple[str, ...], name: str) -> None:
        end, pause = time.monotonic() + self.limit, 0.05
        while not any(map(os.path.exists, ends)):
            left = end - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"the samples of {name} were not final after {self.limit:.0f} s: training goes on")
            time.sleep(min(pause, left))
            pause = min(1.0, pause * 1.5)


def is_due(which: str, epoch: int | None, step: int | None, unit: str, count: int) -> bool:
    if which == "last":
        return True
    if which not in ("epoch", "step") or (unit == "epoch" and which == "step"):
        return False
    number = epoch if unit == "epoch" else step
    return number is not None and number % count == 0


def free_gpu_memory() -> None:
    """Give back what torch keeps for later use: the WebUI may need it now."""
    torch = sys.modules.get("torch")
    if torch is not None:
        with contextlib.suppress(Exception):
            torch.cuda.empty_cache()
