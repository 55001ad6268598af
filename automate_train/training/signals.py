"""How a person stops a sweep: Ctrl-C in two steps, `automate-train stop`, a terminal that closes.

Covers: the signals while a sweep runs, what each asks for, and waking up whoever waits. Not: what is done then
(`loop`), sending them (`machine.lock`).
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Sequence
from types import FrameType

from ..machine.lock import END, FINISH

FINISH_RUNNING, END_RUNNING = 1, 2
"""Levels of `StopSignals`: start nothing more and let finish what runs; end what runs."""


class StopSignals:
    """A context: inside of it no signal ends us, and `level` says what a person has asked for so far. After it `stop`
    is ignored: there is nothing left to be stopped."""

    def __init__(self) -> None:
        self.level = 0
        """0: go on."""
        self.interrupts = 0
        """How often a person has asked for an end at once: each ends what is being waited for."""
        self.wake_on: tuple[int, ...] = ()
        """What becomes readable when a signal has come."""

    def __enter__(self) -> StopSignals:
        read_end, self._write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.wake_on = (read_end,)
        self._wakeup_before = signal.set_wakeup_fd(self._write_end, warn_on_full_buffer=False)
        self._before = {number: signal.signal(number, self._asked) for number in (signal.SIGINT, FINISH, END)}
        self._before[signal.SIGHUP] = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            # Until we have ended somebody may send what we understood a moment ago; its default action would end us.
            is_default = number == FINISH and handler == signal.SIG_DFL
            signal.signal(number, signal.SIG_IGN if is_default else handler)
        signal.set_wakeup_fd(self._wakeup_before)
        for fd in (*self.wake_on, self._write_end):
            os.close(fd)
        self.wake_on = ()

    def _asked(self, number: int, frame: FrameType | None) -> None:
        """A second Ctrl-C asks for more than the first; `stop` asks for the same however often."""
        asked = {FINISH: FINISH_RUNNING, END: END_RUNNING}.get(signal.Signals(number), self.level + 1)
        self.interrupts += number != FINISH
        self.level = min(max(self.level, asked), END_RUNNING)

    def drain(self) -> None:
        """Whoever waits has seen the signals until now."""
        for fd in self.wake_on:
            with contextlib.suppress(BlockingIOError):
                os.read(fd, 4096)

    def wait(self, seconds: float, wake_on: Sequence[int]) -> None:
        """Block until a signal comes, one of the descriptors is readable, or the time is over."""
        poll = select.poll()
        for fd in (*self.wake_on, *wake_on):
            poll.register(fd, select.POLLIN)
        poll.poll(seconds * 1000)
        self.drain()
