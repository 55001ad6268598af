"""The sampler's process beside the sweep: `automate-train sample DIR --follow`.

Covers: starting it, telling it that there is something new, passing on what it says, starting it again when it dies,
waiting for the last samples. Not: sampling (`sampler`). Training never waits for it, and whatever happens to it, the
sweep goes on: what it leaves is made by `automate-train sample DIR`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Protocol

from ..store.layout import SweepFolder

STARTS = 3
"""How often it is started in one sweep before we leave the rest to a person."""
ENDED = (0, 1)
"""Exit codes of a sampler that has done what it could."""
LONGEST_LINE = 4000


class Watcher(Protocol):
    """Lets the loop wake up when a descriptor speaks (`executors/local.Local`)."""

    def watch(self, fd: int) -> None: ...
    def unwatch(self, fd: int) -> None: ...


class Beside:
    def __init__(
        self, folder: SweepFolder, environment: Mapping[str, str], watcher: Watcher, say: Callable[[str], None]
    ) -> None:
        """`environment`: the user's own and the secrets of the sweep."""
        self.folder, self.environment, self.watcher, self.say = folder, dict(environment), watcher, say
        self.process: subprocess.Popen[bytes] | None = None
        self.starts = 0
        self.rest = b""
        self.nothing_more = False
        self.stopped = False
        self._start()

    def _start(self) -> None:
        argv = [sys.executable, "-m", "automate_train", "sample", str(self.folder.path), "--follow"]
        self.starts += 1
        try:
            self.process = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=self.environment,
                start_new_session=True,  # Ctrl-C is for the sweep: it tells the sampler
            )
        except OSError as error:
            self.say(f"samples: the sampler could not be started: {error}")
            return
        os.set_blocking(self._out, False)
        self.watcher.watch(self._out)
        if self.nothing_more:
            self._close()

    @property
    def _out(self) -> int:
        assert self.process is not None and self.process.stdout is not None
        return self.process.stdout.fileno()

    def tell(self) -> None:
        """There are new checkpoints, or a run has ended."""
        if self.process is not None and self.process.stdin is not None and not self.process.stdin.closed:
            with contextlib.suppress(OSError):  # it is dying: `listen` sees that
                os.write(self.process.stdin.fileno(), b"\n")

    def listen(self) -> None:
        """Pass on what it has said since the last time; start it again if it is gone."""
        if self.process is None:
            return
        while True:
            try:
                data = os.read(self._out, 65536)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                break
            *lines, self.rest = (self.rest + data).split(b"\n")
            self.rest = self.rest[-LONGEST_LINE:]
            for line in lines:
                self._pass_on(line)
        self._gone()

    def _pass_on(self, line: bytes) -> None:
        if text := line[:LONGEST_LINE].decode("utf-8", "replace").strip():
            self.say(f"samples: {text}")

    def _gone(self) -> None:
        process, self.process = self.process, None
        assert process is not None and process.stdin is not None and process.stdout is not None
        self.watcher.unwatch(process.stdout.fileno())
        with contextlib.suppress(OSError):  # nobody reads what is left in the pipe
            process.stdin.close()
        process.stdout.close()
        code = process.wait()
        self._pass_on(self.rest)
        self.rest = b""
        if self.stopped or (self.nothing_more and code in ENDED):
            return
        if self.starts < STARTS:
            self.say(f"samples: the sampler has ended ({_how(code)}); it is started again")
            self._start()
        else:
            self.say(f"samples: the sampler has ended {STARTS} times; later: automate-train sample {self.folder.path}")

    def finish(self, wait: Callable[[], bool]) -> bool:
        """Nothing more comes: let it make what is due. `wait` blocks until something speaks and says whether to go on;
        when it says no, the sampler takes its LoRAs away from the servers and ends. False: it was stopped."""
        self.nothing_more = True
        self._close()
        while self.process is not None:
            if not wait() and not self.stopped:
                self.stopped = True
                self.process.send_signal(signal.SIGTERM)
            self.listen()
        return not self.stopped

    def _close(self) -> None:
        if self.process is not None and self.process.stdin is not None:
            with contextlib.suppress(OSError):
                self.process.stdin.close()


def _how(code: int | None) -> str:
    if code is not None and code < 0:
        return f"signal {-code}"
    return f"exit code {code}"
