"""Attempts that have ended, of which something still holds their devices.

Covers: when a device counts as free again: the group's processes are gone, and NVML sees none of the attempt's there;
for how long that is waited for, and who is named after it. Not: ending processes (`scheduler`), what may start on the
devices that are free (`placement`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from .prepare import Executor
from .running_attempt import Active, holders

LET_GO = 15.0
"""Seconds for which nothing is said: memory of a killed process takes a moment to come back."""


@dataclass
class Leaving:
    executor: Executor
    clock: Callable[[], float]
    say: Callable[[str], None]
    holders: Callable[[Active], list[int]] = holders
    """The attempt's processes that hold memory on its devices."""
    attempts: list[Active] = field(default_factory=list)

    @property
    def awaited(self) -> list[Active]:
        """Those that have not had `LET_GO` seconds yet. The others are told, and hold their devices without a slot."""
        return [each for each in self.attempts if not each.occupied]

    def add(self, active: Active) -> bool:
        """Take in an attempt that has ended; True when processes of its group are left, which is to be ended."""
        outlived = self.executor.lingers(active.handle)
        if outlived or self.holders(active):
            active.let_go_by = self.clock() + LET_GO
            self.attempts.append(active)
        return outlived

    def look(self) -> None:
        """Forget who holds nothing any more; tell, once, of those who hold on for too long."""
        self.attempts = [each for each in self.attempts if self._holds_on(each)]

    def _holds_on(self, active: Active) -> bool:
        outlived = self.executor.lingers(active.handle)
        late = not active.occupied and self.clock() >= active.let_go_by
        pids = self.holders(active) if late or not outlived else []
        if late and (outlived or pids):
            who = ", ".join(f"pid {pid}" for pid in pids) or f"process group {active.handle[0]}"
            active.occupied = f"{who} of {active.label}, which has ended"
            self.say(f"{active.where or active.label}: occupied by {active.occupied}")
        return outlived or bool(pids)
