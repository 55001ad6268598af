"""What of a sweep is going on: the attempts that run or still hold devices, and how many runs have ended how.

Covers: the state that `loop` and `starting` share, and whether more may start. Not: changing it (they do).
"""

from __future__ import annotations

from collections.abc import Sequence

from ..records import SweepContext
from .device_release import DeviceRelease
from .running_attempt import RunningAttempt
from .signals import StopSignals


class SweepState:
    def __init__(self, context: SweepContext, stop: StopSignals, release: DeviceRelease) -> None:
        self.context, self.stop, self.release = context, stop, release
        self.active: list[RunningAttempt] = []
        self.done = self.failed = 0
        self.elsewhere: set[str] = set()
        """Keys of runs that another machine trains."""

    @property
    def starts_no_more(self) -> bool:
        return self.stop.level > 0 or (self.failed > 0 and self.context.stop_on_failure)

    @property
    def slots_used(self) -> int:
        return sum(each.takes_slot for each in self.active) + len(self.release.awaited)

    def unreleased(self) -> Sequence[RunningAttempt]:
        """Those of which something may live."""
        return (*self.active, *self.release.attempts)
