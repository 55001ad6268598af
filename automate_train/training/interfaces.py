"""What the loop is handed from the rooms above it.

Covers: a display, and the processes of ours that follow a sweep. Not: the executor (`executors.protocol`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ..records import Device, Outcome, Run
from .running_attempt import RunningAttempt


class Display(Protocol):
    every: float
    """Seconds between two drawings; infinity: only when something has happened."""

    def started(self, active: RunningAttempt) -> None: ...
    def ended(self, active: RunningAttempt, outcome: Outcome, seconds: float) -> None: ...
    def waits(self, run: Run, why: str) -> None: ...
    def say(self, text: str) -> None: ...

    def due(self, active: Sequence[RunningAttempt]) -> bool:
        """Whether it is time to draw."""

    def draw(self, active: Sequence[RunningAttempt], devices: Sequence[Device], left: int) -> None:
        """`left`: how many runs are still to start."""


class Follower(Protocol):
    """The sampler, the report: a process of ours that follows the sweep."""

    @property
    def wake_on(self) -> Sequence[int]:
        """Descriptors that become readable when it has something to say."""

    def update(self, news: bool) -> None:
        """Called at each turn; `news`: a checkpoint was saved, or a run has ended."""
