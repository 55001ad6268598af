"""The training stands still at a checkpoint until its samples are final, for a WebUI on the same GPU.

Covers: which checkpoints it waits at (the sampler's own rule, `sampler/due.py`, which nothing here can import), for
how long. Not: who makes the samples. For attempts whose hook.json has `wait_for_samples`.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

TOGETHER = 300.0
"""Seconds, where several processes train: the others wait in a collective call, which gives up after ten minutes."""


class Wait:
    """`settings` is hook.json: `wait_for_samples` in seconds, `sample_opt` (epoch or step), `sample_num`."""

    def __init__(self, settings: Mapping[str, Any], trouble: Callable[[str, Exception], None]) -> None:
        self.trouble = trouble
        self.limit = float(settings["wait_for_samples"])
        if int(os.environ.get("WORLD_SIZE") or 1) > 1:
            self.limit = min(self.limit, TOGETHER)
        self.unit = settings.get("sample_opt") or "epoch"
        self.count = max(1, int(settings.get("sample_num") or 1))

    def __call__(self, path: str, which: str, epoch: int | None, step: int | None) -> None:
        if not is_due(which, epoch, step, self.unit, self.count):
            return
        folder, name = os.path.split(path)
        mark = os.path.join(folder, "sample", f"{os.path.splitext(name)[0]}.final")
        room_on_the_gpu()
        end, pause = time.monotonic() + self.limit, 0.05
        while not os.path.exists(mark):
            left = end - time.monotonic()
            if left <= 0:
                late = TimeoutError(f"the samples of {name} were not final after {self.limit:.0f} s: training goes on")
                self.trouble("wait_for_samples", late)
                return
            time.sleep(min(pause, left))
            pause = min(1.0, pause * 1.5)


def is_due(which: str, epoch: int | None, step: int | None, unit: str, count: int) -> bool:
    if which == "last":
        return True
    if which not in ("epoch", "step") or (unit == "epoch" and which == "step"):
        return False
    number = epoch if unit == "epoch" else step
    return number is not None and number % count == 0


def room_on_the_gpu() -> None:
    """What torch keeps for later use, the WebUI may need now."""
    torch = sys.modules.get("torch")
    if torch is not None:
        with contextlib.suppress(Exception):
            torch.cuda.empty_cache()
