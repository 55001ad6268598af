"""Attempts that have ended, of which something still holds their devices.

Covers: when a device counts as free again: the executor finds nothing of the attempt any more; for how long that is
waited for, and who is named after it. Not: ending processes (`executors`), what may start on the devices that are free
(`placement`).
"""

from __future__ import annotations

from collections.abc import Callable

from ..executors.protocol import Executor
from .running_attempt import RunningAttempt

RELEASE_SECONDS = 15.0
"""How long nothing is said: the memory of a killed process takes a moment to come back."""


class DeviceRelease:
    def __init__(self, executor: Executor, clock: Callable[[], float], say: Callable[[str], None]) -> None:
        self.executor, self.clock, self.say = executor, clock, say
        self.attempts: list[RunningAttempt] = []

    @property
    def awaited(self) -> list[RunningAttempt]:
        """Those that have not had `RELEASE_SECONDS` yet. The others were named, and hold their devices without a
        slot."""
        return [each for each in self.attempts if not each.occupied]

    def add(self, ended: RunningAttempt) -> bool:
        """Take in an attempt that has ended; True when something of it is left, which is to be ended."""
        if not self._holders(ended):
            self.executor.release(ended.devices)
            return False
        ended.release_by = self.clock() + RELEASE_SECONDS
        self.attempts.append(ended)
        return True

    def update(self) -> None:
        """Forget who holds nothing any more; name, once, those that hold on for too long."""
        self.attempts = [each for each in self.attempts if self._holds(each)]

    def _holds(self, ended: RunningAttempt) -> bool:
        holders = self._holders(ended)
        if holders and not ended.occupied and self.clock() >= ended.release_by:
            ended.occupied = f"{', '.join(holders)} of {ended.label}, which has ended"
            self.say(f"{ended.device_labels or ended.label}: occupied by {ended.occupied}")
        if not holders:
            self.executor.release(ended.devices)
        return bool(holders)

    def _holders(self, ended: RunningAttempt) -> list[str]:
        return self.executor.holders(ended.handle, ended.folder, ended.devices)
