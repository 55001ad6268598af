"""Since when a server has problems, and which.

Covers: telling a person of each problem once, and of its end; how long to wait before the next try. Not: what follows
from it (`dispatch`, `session`).
"""

from __future__ import annotations

import random
import time
from typing import Literal

from .context import SamplingContext

Part = Literal["connection", "files", "queue", "paused", "waiting", "stuck"]
IDLE: tuple[Part, ...] = ("paused", "waiting", "stuck")
"""The server answers, and does nothing for us. With the other parts it does not answer."""


class ServerHealth:
    """Of one server; called by its threads and by the session."""

    def __init__(self, url: str, context: SamplingContext) -> None:
        self._url, self._context = url, context
        self._since: dict[Part, float] = {}
        self._tries: dict[Part, int] = {}
        self._reasons: dict[Part, str] = {}
        self.given_up = ""
        """Why it is not asked again in this session."""

    def failed(self, part: Part, reason: str, since: float | None = None) -> float:
        """Seconds until the next try: more each time, with jitter. `since`: None for now."""
        if part not in self._since:
            self._context.say(reason if self._url in reason else f"{self._url}: {reason}")
            self._since[part] = time.monotonic() if since is None else since
            self._context.changed.set()
        self._reasons[part] = reason
        tries = self._tries[part] = self._tries.get(part, 0) + 1
        return min(5.0, 0.25 * 2.0 ** min(tries, 6)) * random.uniform(0.8, 1.2)

    def works(self, part: Part) -> None:
        had_failed = self._since.pop(part, None) is not None
        self._tries.pop(part, None)
        self._reasons.pop(part, None)
        if had_failed:
            self._context.say(f"{self._url}: goes on")
            self._context.changed.set()

    def give_up(self, reason: str) -> None:
        if not self.given_up:
            self.given_up = reason
            self._context.say(f"{reason} (this server is not used)")
            self._context.changed.set()

    @property
    def trouble_for(self) -> float:
        """For how many seconds it has done nothing for us."""
        now = time.monotonic()
        return max(self.silent_for(now), self.idle_for(now))

    def silent_for(self, now: float) -> float:
        """For how many seconds it has not answered."""
        return max((now - since for part, since in list(self._since.items()) if part not in IDLE), default=0.0)

    def idle_for(self, now: float) -> float:
        """For how many seconds it has answered and done nothing for us."""
        return max((now - since for part, since in list(self._since.items()) if part in IDLE), default=0.0)

    @property
    def problem(self) -> str:
        """What is wrong with it now, "" for nothing."""
        return self.given_up or next(iter(list(self._reasons.values())), "")

    @property
    def is_fine(self) -> bool:
        return not self._since and not self.given_up
