"""A command of ours that follows a running sweep in a process of its own: the sampler, the judge.

Covers: starting it, telling it that there is something new, passing on what it says, starting it again when it dies,
waiting for its end. Not: what it does. Training never waits for it, and whatever happens to it, the sweep goes on: what
it leaves is made by the same command, typed later.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from .child_process import ChildProcess, own_command

STARTS = 3
"""How often it is started in one sweep before the rest is left to a person."""
DONE = (0, 1)
"""Exit codes of a command that has done what it could."""
REFUSED = 2
"""That of one that cannot begin, or go on, before something is mended: started again at once, it would say the same."""
STOP_SECONDS = 60.0
"""What it gets to end politely, before it is killed."""


class Following(NamedTuple):
    """Which command follows."""

    command: str
    """`sample`, `judge`."""
    path: str
    """The sweep's folder."""
    what: str
    """What it makes, which begins each of its lines: `samples`."""
    who: str
    """What it is, for people: `sampler`."""
    flags: tuple[str, ...] = ()

    @property
    def argv(self) -> list[str]:
        return own_command(self.command, self.path, "--follow", *self.flags)

    @property
    def later(self) -> str:
        """What a person types for what is left."""
        return f"automate-train {self.command} {shlex.quote(self.path)}"


class FollowingProcess:
    def __init__(self, following: Following, environment: Mapping[str, str], say: Callable[[str], None]) -> None:
        """`environment`: the user's own and the secrets that it needs."""
        self.following, self.environment, self.say = following, dict(environment), say
        self._child: ChildProcess | None = None
        self._starts = 0
        self._nothing_more = self._stopped = self._refused = False
        self.all_made = False
        """It has ended, and nothing is left to make."""

    @property
    def wake_on(self) -> Sequence[int]:
        """What becomes readable when it says something or ends."""
        return self._child.outputs if self._child else ()

    def update(self, news: bool) -> None:
        """Called at each turn of the loop, the first time after the first runs have started; `news`: a checkpoint was
        saved, or a run has ended."""
        if not self._starts:
            self._start()
        if news and self._child:
            self._child.tell()
        self._listen()

    def finish(self) -> None:
        """Nothing more comes: it makes what is due, and ends. One that was never started is started for that, and so is
        one that has refused: what was wrong may be mended."""
        self._nothing_more = True
        if self._child:
            self._child.tell()
            self._child.tell_no_more()
        elif not self._starts or self._refused:
            self._start()

    def stop(self) -> None:
        """It ends politely."""
        if self._child and not self._stopped:
            self._stopped = True
            self._child.stop(STOP_SECONDS)
            self.say(f"{self.following.what}: stopped; later: {self.following.later}")

    def running(self) -> bool:
        """Pass on what it has said since the last time; False when it has ended and is not started again."""
        self._listen()
        return self._child is not None

    def _start(self) -> None:
        self._starts += 1
        try:
            self._child = ChildProcess(self.following.argv, environment=self.environment, piped=True)
        except OSError as error:
            self.say(f"{self.following.what}: the {self.following.who} could not be started: {error}")
            return
        if self._nothing_more:
            self._child.tell_no_more()

    def _listen(self) -> None:
        if self._child is None:
            return
        what, who = self.following.what, self.following.who
        code = self._child.poll()  # before its last words are read, so that none is missed
        for line in self._child.lines():
            self.say(f"{what}: {line}")
        code = code if code is not None else self._child.exit_code
        if code is None:
            return
        self.all_made = code == 0
        self._child.close()
        self._child = None
        if self._stopped or (self._nothing_more and code in DONE):
            return
        self._refused = code == REFUSED
        if self._refused:
            self.say(f"{what}: the {who} has ended (exit code {code}); later: {self.following.later}")
        elif self._starts < STARTS:
            how = f"signal {-code}" if code < 0 else f"exit code {code}"
            self.say(f"{what}: the {who} has ended ({how}); it is started again")
            self._start()
        else:
            self.say(f"{what}: the {who} has ended {STARTS} times; later: {self.following.later}")
