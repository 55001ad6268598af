"""What the threads of all servers share: limits, the desk, where to say something, when to stop.

Covers: `Limits`, `Office`, the health of a server. Not: what is done with them (`drawer`, `carrier`, `dispatch`).
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import UserError
from .image_store import Desk


@dataclass(frozen=True)
class Limits:
    """Seconds."""

    poll: float = 0.52
    """Between two questions how the queue stands, at least: under two a second."""
    slowest: float = 4.0
    """The same while nothing changes."""
    outage: float = 600.0
    """A server that does not answer for so long is given up: others take its share."""
    wait: float = 6 * 3600.0
    """A server that answers may let our pictures wait for so long: it is paused, or busy with others'."""
    kick: float = 3.0
    """An idle queue with our tasks in it has overslept them."""
    stuck: float = 180.0
    """One and the same task of a queue takes so long: something is wrong."""
    resume: bool = False
    """May a paused queue be resumed?"""
    nudge: bool = False
    """May a stuck queue be woken by a small picture?"""


@dataclass
class Office:
    journal: Path
    sweep: str
    """8 hex."""
    desk: Desk
    limits: Limits
    say: Callable[[str], None]
    bell: threading.Event = field(default_factory=threading.Event)
    """Rung by every thread when something has happened that the dispatcher should see."""
    stop: threading.Event = field(default_factory=threading.Event)
    """Take away what is ours and end."""
    hungry: bool = False
    """Batches wait: servers without work are asked how busy they are."""
    bug: BaseException | None = None
    """What ended a thread: the session raises it."""

    def thread(self, name: str, work: Callable[[], None]) -> threading.Thread:
        """Not waited for when the process ends: it may hang in a request."""

        def guarded() -> None:
            try:
                work()
            except OSError as error:  # of our own disk: a server's are told apart in `webui`
                self.bug = UserError(f"{error.filename or self.journal.parent}: {error.strerror or error}")
            except BaseException as error:  # a bug of ours
                self.bug = error
            self.bell.set()

        thread = threading.Thread(target=guarded, name=name, daemon=True)
        thread.start()
        return thread


IDLE = ("paused", "waiting", "stuck")
"""Parts of a server's health that say: it answers, and does nothing for us."""


class Health:
    """Since when a server gives trouble, and of which kind; each kind is told to a person once."""

    def __init__(self, url: str, office: Office) -> None:
        self._url, self._office = url, office
        self._since: dict[str, float] = {}
        self._tries: dict[str, int] = {}
        self._reasons: dict[str, str] = {}
        self.dead = ""
        """Why it is never asked again in this session."""

    def bad(self, part: str, reason: str) -> float:
        """Seconds until the next try: more each time, with jitter."""
        if part not in self._since:
            self._office.say(reason if self._url in reason else f"{self._url}: {reason}")
            self._since[part] = time.monotonic()
            self._office.bell.set()
        self._reasons[part] = reason
        tries = self._tries[part] = self._tries.get(part, 0) + 1
        return min(5.0, 0.25 * 2.0 ** min(tries, 6)) * random.uniform(0.8, 1.2)

    def good(self, part: str) -> bool:
        """True: it was bad before."""
        was = self._since.pop(part, None) is not None
        self._tries.pop(part, None)
        self._reasons.pop(part, None)
        if was:
            self._office.say(f"{self._url}: goes on")
            self._office.bell.set()
        return was

    def kill(self, reason: str) -> None:
        if not self.dead:
            self.dead = reason
            self._office.say(f"{reason} (this server is not used)")
            self._office.bell.set()

    def silent(self, now: float) -> float:
        """For how many seconds it has not answered."""
        return max((now - since for part, since in list(self._since.items()) if part not in IDLE), default=0.0)

    def idle(self, now: float) -> float:
        """For how many seconds it has answered and done nothing for us."""
        return max((now - since for part, since in list(self._since.items()) if part in IDLE), default=0.0)

    @property
    def told(self) -> str:
        """What is wrong with it now, "" for nothing."""
        return self.dead or next(iter(list(self._reasons.values())), "")

    @property
    def fine(self) -> bool:
        return not self._since and not self.dead
