"""One orchestrator a sweep: who holds it, whether that one is still there, and asking it to stop.

Covers: an advisory lock on `<sweep>/lock` that the system releases when its holder dies, however it dies, with a line
that says who holds it; the two signals by which the holder is asked to stop.
Not: what the holder does then (`training.signals`), protection against people who edit the folder by hand.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from ..errors import UserError
from .child_process import ChildProcess
from .processes import signal_process

FINISH, END = signal.SIGUSR1, signal.SIGTERM
"""What the holder understands: start nothing more, let finish what runs; end what runs."""


@contextmanager
def held(file: Path) -> Iterator[None]:
    """Hold the sweep; `UserError` naming the holder when another orchestrator does."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except (OSError, ValueError) as error:
        raise _unusable(file, error) from None
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise refusal(file) from None
        except OSError as error:  # a network disk without locks
            raise _unusable(file, error) from None
        me = {"host": os.uname().nodename, "pid": os.getpid(), "since": time.time()}
        with contextlib.suppress(OSError):  # a full disk: who holds it is only for people
            os.ftruncate(fd, 0)
            os.pwrite(fd, json.dumps(me).encode(), 0)
        yield
    finally:
        os.close(fd)  # the lock goes with the descriptor; the file stays, so that nobody locks a deleted one


def is_held(file: Path) -> bool:
    try:
        fd = os.open(file, os.O_RDWR | os.O_CLOEXEC)
    except (OSError, ValueError):
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a network disk without locks: `held` says so
        return False
    finally:
        os.close(fd)
    return False


class Holder(NamedTuple):
    """Who holds a lock."""

    host: str
    pid: int
    since: float
    """Seconds since 1970."""

    @property
    def here(self) -> bool:
        return self.host == os.uname().nodename

    def __str__(self) -> str:
        return f"pid {self.pid}" if self.here else f"pid {self.pid} on {self.host}"


def holder(file: Path) -> Holder | None:
    """Who holds the lock; None when nobody does, or when the holder could not write that down."""
    return _written(file) if is_held(file) else None


def is_held_by(file: Path, child: ChildProcess) -> bool:
    found = holder(file)
    return found is not None and found.here and child.is_process(found.pid)


def ask_to_stop(file: Path, now: bool) -> Holder | None:
    """Ask the holder to start nothing more, or (`now`) to end what it runs; who was asked, None when nobody holds the
    lock. `UserError`: it is held on another machine."""
    found = holder(file)
    if found and not found.here:
        raise UserError(f"this sweep is being run on {found.host} (pid {found.pid})", source=str(file.parent),
                        hint="go there")  # fmt: skip
    if found and not signal_process(found.pid, END if now else FINISH):
        return None
    return found


def _written(file: Path) -> Holder | None:
    try:
        told = json.loads(file.read_text())
        found = Holder(str(told["host"]), int(told["pid"]), float(told["since"]))
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    return found if 0 < found.pid < 1 << 31 and 0 <= found.since < 1e10 else None


def _unusable(file: Path, error: OSError | ValueError) -> UserError:
    why = error.strerror if isinstance(error, OSError) else error
    hint = "choose another folder as temp_dir"
    return UserError(f"the sweep's folder cannot be used: {why}", source=str(file.parent), key="temp_dir", hint=hint)


def refusal(file: Path) -> UserError:
    """The error of a second orchestrator of a sweep."""
    found = _written(file)
    who = "another process"
    if found:
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(found.since))
        who = f"pid {found.pid} on {found.host} since {since}"
    return UserError(
        f"this sweep is being run by {who}",
        source=str(file.parent),
        hint=f"follow it with: automate-train status {file.parent}",
    )
