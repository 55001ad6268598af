"""The lines of a running sweep: one for each change of state, with the time.

Covers: the lines, and how a length of time is written. Not: deciding anything; when something happens (`training`).
A display that cannot be written to (a closed terminal, a full disk) is silent: the sweep goes on without it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence

from ..config.masking import Masker
from ..errors import printable
from ..records import Device, Outcome, Run
from ..training.running_attempt import RunningAttempt


class Plain:
    """Nothing is drawn over, so nothing is lost in a log."""

    every = 5.0
    """Seconds: so often checkpoints and losses are read from the attempts' folders."""

    def __init__(self, slots: int = 1, masker: Masker = Masker()) -> None:  # noqa: B008  # it is frozen
        self.slots, self.masker = slots, masker
        self.durations: list[float] = []
        """Seconds of each run that has succeeded."""

    def say(self, text: str) -> None:
        """With the time, without secrets, and without what would steer the terminal."""
        with contextlib.suppress(OSError, ValueError):
            self._print(f"[{time.strftime('%H:%M:%S')}] {printable(self.masker.text(text))}")

    def _print(self, line: str) -> None:
        # With its end: `print` writes that apart, and another thread's line may come between.
        print(f"{line}\n", end="", flush=True)

    def started(self, active: RunningAttempt) -> None:
        where = f" on {active.device_labels}" if active.device_labels else ""
        where = f" ({active.device_labels})" if active.in_queue else where
        word = "waits in the queue" if active.in_queue else "started"
        self.say(f"{active.label} {active.name}: {word}{where}{_again(active)}")

    def ended(self, active: RunningAttempt, outcome: Outcome, seconds: float) -> None:
        if outcome.kind == "succeeded":
            self.durations.append(seconds)
        loss = f", loss {active.progress.loss:.4g}" if active.progress.loss is not None else ""
        reason = f": {outcome.reason}" if outcome.reason else ""
        self.say(f"{active.label} {active.name}: {outcome.kind} after {duration(seconds)}{loss}{reason}")

    def waits(self, run: Run, why: str) -> None:
        self.say(f"run {run.number} waits: {why}")

    def due(self, active: Sequence[RunningAttempt]) -> bool:
        """Whether it is time to draw; there is nothing to draw here."""
        return False

    def draw(self, active: Sequence[RunningAttempt], devices: Sequence[Device], left: int) -> None:
        pass

    def close(self) -> None:
        pass


def _again(active: RunningAttempt) -> str:
    """` (attempt 2, goes on from step 12 of 24)`; nothing for a first attempt from the start."""
    progress = active.progress
    parts = [f"attempt {active.number}"] if active.number > 1 else []
    if progress.start:
        parts.append(f"goes on from step {progress.start}{f' of {progress.total}' if progress.total else ''}")
    return f" ({', '.join(parts)})" if parts else ""


def duration(seconds: float) -> str:
    """`48 s`, `12 min 5 s`, `3 h 4 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
