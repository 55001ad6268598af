"""The processes that follow a sweep, when its runs are over.

Covers: waiting for what they still make, and what Ctrl-C means then. Not: what they do (`sampling`, `judging`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from math import inf

from ..machine.following_process import FollowingProcess
from .signals import END_RUNNING, StopSignals

SAY_SECONDS = 1.5
"""For which nothing is said about what is still being made."""


def finish(process: FollowingProcess, stop: StopSignals, say: Callable[[str], None], what: str) -> None:
    """Wait until it has made the rest; Ctrl-C leaves that to the same command, typed later."""
    asked, say_at = stop.interrupts, time.monotonic() + SAY_SECONDS
    process.finish()
    while process.running():
        stop.wait(2.0, process.wake_on)
        if stop.interrupts > asked or stop.level == END_RUNNING:
            process.stop()
        if time.monotonic() > say_at:
            say_at = inf
            say(f"{process.following.what}: the runs are over, {what} (Ctrl-C leaves the rest for later)")
