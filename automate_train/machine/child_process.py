"""A program of ours that runs beside this process: the sampler, the report, a sweep in the background.

Covers: starting it in a session of its own (a Ctrl-C in the terminal is for us; we tell it), with pipes, a log or
neither; telling it that there is news, reading what it says, ending it politely and then by force.
Not: trainers (`executors`), what the programs do.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .processes import signal_group, signal_process

LONGEST_LINE = 4000
"""Bytes of a line of its output that are kept."""


ROOT = str(Path(__file__).resolve().parents[2])
"""The folder that holds this package."""
START = """import sys
if "" in sys.path: sys.path.remove("")
sys.path.append(sys.argv.pop(1))
from automate_train.__main__ import main
sys.exit(main())"""
"""With -m, Python would import a `queue.py` of the user's current folder, with the secrets in the environment."""


def own_command(*arguments: str) -> list[str]:
    """The command line that starts another command of this program; nothing is imported from the current folder."""
    return [sys.executable, "-c", START, ROOT, *arguments]


class ChildProcess:
    """`OSError` when it cannot be started. `piped`: its input and output are pipes to us; else its output goes to
    `log`, or nowhere. `nice`: at low priority. `keeps`: a descriptor that it holds as long as it lives (a
    reservation)."""

    def __init__(
        self, argv: list[str], *, environment: Mapping[str, str] | None = None, piped: bool = False,
        log: str | Path = os.devnull, nice: bool = False, cwd: str | Path = "", keeps: int | None = None,
    ) -> None:  # fmt: skip
        self.exit_code: int | None = None
        """None: it runs. Negative: the signal that ended it."""
        self._input = self._output = -1
        self._rest = b""
        self._kill_at: float | None = None
        if nice:
            argv = ["/bin/sh", "-c", 'exec nice "$@"', "sh", *argv]
        if cwd:
            argv = ["/bin/sh", "-c", 'cd -- "$0" && exec "$@"', str(cwd), *argv]
        actions: list[tuple[Any, ...]] = []
        theirs: list[int] = []
        try:
            if piped:
                stdin, self._input = os.pipe()
                theirs.append(stdin)
                self._output, stdout = os.pipe()
                theirs.append(stdout)
                actions += [(os.POSIX_SPAWN_DUP2, stdin, 0), (os.POSIX_SPAWN_DUP2, stdout, 1)]
                os.set_blocking(self._output, False)
            else:
                flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
                actions += [
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 1, str(log), flags, 0o666),
                ]
            actions.append((os.POSIX_SPAWN_DUP2, 1, 2))
            if keeps is not None:
                actions.append((os.POSIX_SPAWN_DUP2, keeps, 3))
            environ = os.environ if environment is None else environment
            self._pid = os.posix_spawn(argv[0], argv, environ, file_actions=actions, setsid=True)
        except BaseException:
            self.close()
            raise
        finally:
            for fd in theirs:
                os.close(fd)

    @property
    def outputs(self) -> tuple[int, ...]:
        """What becomes readable when it says something or ends; empty without pipes."""
        return (self._output,) if self._output >= 0 else ()

    def tell(self, line: str = "") -> None:
        """Write a line to its input; an empty one: there is something new. It must be reading: a full pipe is waited
        for."""
        rest = line.encode() + b"\n"
        while self._input >= 0 and rest:
            try:
                rest = rest[os.write(self._input, rest) :]
            except OSError:  # it is ending, which `lines` will show
                return

    def tell_no_more(self) -> None:
        """Close its input: nothing more will come."""
        if self._input >= 0:
            os.close(self._input)
            self._input = -1

    def lines(self) -> Iterator[str]:
        """What it has said since the last call, without waiting for more. A program whose output has ended is ending:
        that is waited for."""
        while self._output >= 0:
            try:
                data = os.read(self._output, 65536)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            *whole, self._rest = (self._rest + data).split(b"\n")
            if not data:
                whole, self._rest = [*whole, self._rest], b""
            self._rest = self._rest[-LONGEST_LINE:]
            for line in whole:
                if text := line[:LONGEST_LINE].decode("utf-8", "replace").strip():
                    yield text
            if not data:
                self.close()
                self.wait()

    def poll(self) -> int | None:
        """Its exit code; None while it runs. One that was told to end and did not is killed when its time is over."""
        if self._kill_at is not None and self.exit_code is None and time.monotonic() >= self._kill_at:
            self._kill_at = None
            signal_group(self._pid, signal.SIGKILL)
        return self._reap(os.WNOHANG)

    def wait(self) -> int | None:
        """Wait for its end; its exit code."""
        return self._reap(0)

    def stop(self, seconds: float) -> None:
        """Ask it to end. After `seconds` `poll` kills it, with everything that it has started."""
        if self._kill_at is None and self.exit_code is None:
            signal_process(self._pid, signal.SIGTERM)
            self._kill_at = time.monotonic() + seconds

    def close(self) -> None:
        """Close the pipes: what it says from here on is not read."""
        self.tell_no_more()
        if self._output >= 0:
            os.close(self._output)
            self._output = -1

    def is_process(self, pid: int) -> bool:
        return pid == self._pid

    def __str__(self) -> str:
        return f"pid {self._pid}"

    def _reap(self, options: int) -> int | None:
        if self.exit_code is None:
            try:
                pid, status = os.waitpid(self._pid, options)
            except ChildProcessError:  # somebody else has reaped it
                self.exit_code = 0
            else:
                self.exit_code = os.waitstatus_to_exitcode(status) if pid else None
        return self.exit_code
