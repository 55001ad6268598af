"""The sampler's process while a sweep runs: `automate-train sample DIR --follow`.

Covers: starting it, telling it that there is something new, passing on what it says, starting it again when it dies,
waiting for the last samples. Not: sampling (`session`). Training never waits for it, and whatever happens to it, the
sweep goes on: what it leaves is made by `automate-train sample DIR`.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping

from ..machine.child_process import ChildProcess, own_command
from ..store.layout import SweepFolder

STARTS = 3
"""How often it is started in one sweep before the rest is left to a person."""
DONE = (0, 1)
"""Exit codes of a sampler that has made what it could."""
STOP_SECONDS = 60.0
"""What it gets to take its LoRAs away from the servers, before it is killed."""


class SamplerProcess:
    def __init__(self, folder: SweepFolder, environment: Mapping[str, str], say: Callable[[str], None]) -> None:
        """`environment`: the user's own and the secrets of the sweep."""
        self.folder, self.environment, self.say = folder, dict(environment), say
        self._child: ChildProcess | None = None
        self._starts = 0
        self._nothing_more = self._stopped = False
        self.all_made = False
        """It has ended, and every sample is there."""

    @property
    def wake_on(self) -> tuple[int, ...]:
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
        """Nothing more comes: it makes what is due, and ends."""
        self._nothing_more = True
        if self._child:
            self._child.tell()
            self._child.tell_no_more()

    def stop(self) -> None:
        """It takes its LoRAs away from the servers, and ends."""
        if self._child and not self._stopped:
            self._stopped = True
            self._child.stop(STOP_SECONDS)
            self.say(f"samples: stopped; later: automate-train sample {shlex.quote(str(self.folder.path))}")

    def running(self) -> bool:
        """Pass on what it has said since the last time; False when it has ended and is not started again."""
        self._listen()
        return self._child is not None

    def _start(self) -> None:
        self._starts += 1
        command = own_command("sample", str(self.folder.path), "--follow")
        try:
            self._child = ChildProcess(command, environment=self.environment, piped=True)
        except OSError as error:
            self.say(f"samples: the sampler could not be started: {error}")
            return
        if self._nothing_more:
            self._child.tell_no_more()

    def _listen(self) -> None:
        if self._child is None:
            return
        code = self._child.poll()  # before its last words are read, so that none is missed
        for line in self._child.lines():
            self.say(f"samples: {line}")
        code = code if code is not None else self._child.exit_code
        if code is None:
            return
        self.all_made = code == 0
        self._child.close()
        self._child = None
        if self._stopped or (self._nothing_more and code in DONE):
            return
        if self._starts < STARTS:
            how = f"signal {-code}" if code < 0 else f"exit code {code}"
            self.say(f"samples: the sampler has ended ({how}); it is started again")
            self._start()
        else:
            later = f"automate-train sample {shlex.quote(str(self.folder.path))}"
            self.say(f"samples: the sampler has ended {STARTS} times; later: {later}")
