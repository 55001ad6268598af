"""One orchestrator a sweep: who holds it, whether that one is still there, and asking it to stop.

Covers: an advisory lock on `<sweep>/lock` that the system releases when its holder dies, however it dies, with a line
that says who holds it; the two signals by which the holder is asked to stop. Who only looks shares the lock for a
moment: two that look do not take each other for the holder, and whoever takes it tries for longer than a look takes.
Not: what the holder does then (`training.signals`), protection against people who edit the folder by hand.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import signal
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from ..errors import UserError
from .child_process import ChildProcess
from .processes import ProcessId, id_of, signal_process

FINISH, END = signal.SIGUSR1, signal.SIGTERM
"""What the holder understands: start nothing more, let finish what runs; end what runs."""


LOOK_SECONDS = 0.5
"""For which somebody who only looks, or a holder that has not written its line yet, is waited for."""


class Holder(NamedTuple):
    """Who holds a lock."""

    process: ProcessId
    since: float
    """Seconds since 1970."""

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def host(self) -> str:
        return self.process.host

    def __str__(self) -> str:
        if self == UNKNOWN:
            return "a process that could not write its name down"
        return f"pid {self.pid}" if self.process.is_here else f"pid {self.pid} on {self.host}"


UNKNOWN = Holder(ProcessId(0, 0, "", ""), 0.0)
"""A holder that could not write down who it is: the disk was full."""


@contextmanager
def held(file: Path) -> Iterator[None]:
    """Hold the sweep; `UserError` naming the holder when another orchestrator does."""
    with contextlib.ExitStack() as stack:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
            stack.callback(os.close, fd)  # the lock goes with it; the file stays, so that nobody locks a deleted one
            _require_own_file(fd, file)
            _lock(fd, file)
        except (OSError, ValueError) as error:  # of a network disk without locks, too
            raise _unusable(file, error) from None
        me = id_of(os.getpid())
        line = json.dumps({**me._asdict(), "since": time.time()}).encode()
        with contextlib.suppress(OSError):  # a full disk: who holds it is only for people
            os.pwrite(fd, line, 0)
            os.ftruncate(fd, len(line))
        yield


def _require_own_file(fd: int, file: Path) -> None:
    """Refuse what somebody may have put there to have another file emptied."""
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
        raise ValueError(f"{file.name} is a link, or not a regular file: remove it")


def _lock(fd: int, file: Path) -> None:
    deadline = time.monotonic() + LOOK_SECONDS
    while True:
        try:
            return fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise refusal(file) from None
        time.sleep(0.01)


def is_held(file: Path) -> bool:
    try:
        fd = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
    except (OSError, ValueError):
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a network disk without locks: `held` says so
        return False
    finally:
        os.close(fd)
    return False


def holder(file: Path) -> Holder | None:
    """Who drives the sweep (or samples it): pid, machine, and since when; None when nobody does."""
    deadline = time.monotonic() + LOOK_SECONDS
    while is_held(file):
        if (found := _written(file)) != UNKNOWN or time.monotonic() > deadline:
            return found
        time.sleep(0.02)
    return None


def is_held_by(file: Path, child: ChildProcess) -> bool:
    return child.is_process(_written(file).pid) and is_held(file)


def ask_to_stop(file: Path, now: bool) -> Holder | None:
    """Ask the holder to start nothing more, or (`now`) to end what it runs; who was asked, None when nobody holds the
    lock. `UserError`: it cannot be asked from here."""
    found = holder(file)
    if found is None:
        return None
    if not found.process.is_here:
        hint = "find it there, and end it" if found == UNKNOWN else f"ask it to stop on {found.host}"
        raise UserError(f"this sweep is being run by {found}", source=str(file.parent), hint=hint)
    return found if signal_process(found.pid, END if now else FINISH) else None


def _written(file: Path) -> Holder:
    """Who has written that it holds the lock. One of this machine that does not live has not taken it back."""
    try:
        told = json.loads(file.read_bytes()[:4096])
        process = ProcessId(int(told["pid"]), int(told["ticks"]), str(told["boot"]), str(told["host"]))
        found = Holder(process, float(told["since"]))
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return UNKNOWN
    is_possible = 0 < found.pid < 1 << 31 and 0 <= found.since < 1e10 and (process.alive or not process.is_here)
    return found if is_possible else UNKNOWN


def _unusable(file: Path, error: OSError | ValueError) -> UserError:
    why = error.strerror if isinstance(error, OSError) else error
    if isinstance(error, OSError) and error.errno == errno.ELOOP and file.is_symlink():
        why = f"{file.name} is a link: remove it"
    hint = "choose another folder as temp_dir"
    return UserError(f"the sweep's folder cannot be used: {why}", source=str(file.parent), key="temp_dir", hint=hint)


def refusal(file: Path) -> UserError:
    """The error of a second orchestrator of a sweep."""
    found = _written(file)
    who = str(found)
    if found != UNKNOWN:
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(found.since))
        who = f"pid {found.pid} on {found.host} since {since}"
    return UserError(
        f"this sweep is being run by {who}",
        source=str(file.parent),
        hint=f"follow it with: automate-train status {file.parent}",
    )
