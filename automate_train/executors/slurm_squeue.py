"""The queue as squeue last told: asked beside the sweep, for it takes seconds when Slurm's controller is away.

Covers: when it is asked (at most every `ask_seconds`, more seldom while nothing changes), taking its answer. Not: what
follows from it (`slurm`), the answer's form (`slurm_queue`).
"""

from __future__ import annotations

import os
import select
import subprocess
import time
from collections.abc import Mapping, Sequence
from math import inf

from . import slurm_commands
from .slurm_queue import Job, parse

SELDOM_SECONDS = 30.0
"""Between two questions when nothing changes."""


class Squeue:
    def __init__(self, ask_seconds: float) -> None:
        self.ask_seconds = self._pause = ask_seconds
        self.jobs: Mapping[int, Job] | None = None
        """By their numbers; None: it has not told, or Slurm is away."""
        self.asked = self._last_ask = -inf
        """Monotonic seconds at which `jobs` was asked for; at which anything was."""
        self._asking: subprocess.Popen[bytes] | None = None
        self._answer = b""

    def hurry(self) -> None:
        """Something is expected to change."""
        self._pause = self.ask_seconds

    def ask_if_due(self, now: float) -> None:
        if self._asking is None and now >= self._last_ask + self._pause:
            self._last_ask, self._answer = now, b""
            self._asking = slurm_commands.squeue_beside()

    def ask_now(self) -> Mapping[int, Job]:
        """`UserError` where Slurm does not answer."""
        asked = time.monotonic()
        self.jobs, self.asked, self._last_ask = parse(slurm_commands.squeue()), asked, asked
        return self.jobs

    def poll(self, seconds: float, wake_on: Sequence[int]) -> tuple[bool, bool]:
        """Wait for the time, a descriptor of `wake_on`, or squeue; whether it was one of those, and whether `jobs` is
        new."""
        poll = select.poll()
        for fd in wake_on:
            poll.register(fd, select.POLLIN)
        pipe = self._asking.stdout if self._asking else None
        if pipe is not None:
            poll.register(pipe.fileno(), select.POLLIN)
        ready = {fd for fd, _ in poll.poll(None if seconds == inf else max(0.0, seconds) * 1000)}
        told = False
        if self._asking is not None and pipe is not None and pipe.fileno() in ready:
            part = os.read(pipe.fileno(), 1 << 16)
            self._answer += part
            if not part:
                pipe.close()
                code, self._asking, told = self._asking.wait(), None, True
                self._take(code)
        return not ready.isdisjoint(wake_on), told

    def _take(self, code: int) -> None:
        if code:  # Slurm is away
            self.jobs = None
            return self.hurry()
        jobs = parse(self._answer.decode("utf-8", "surrogateescape"))
        self._pause = self.ask_seconds if jobs != self.jobs else min(self._pause * 1.5, SELDOM_SECONDS)
        self.jobs, self.asked = jobs, self._last_ask
        return None
