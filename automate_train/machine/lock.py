"""One orchestrator a sweep: who holds it, and whether that one is still there.

Covers: an advisory lock on `<sweep>/lock` that the system releases when its holder dies, however it dies, with a
line that says who holds it. Not: protection against people who edit the folder by hand.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import UserError


@contextmanager
def held(file: Path) -> Iterator[None]:
    """Hold the sweep; `UserError` naming the holder when another orchestrator does."""
    import fcntl

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
    import fcntl

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


def holder_here(file: Path) -> int:
    """The pid of the process of this machine that holds it; 0 when nobody does. `UserError`: held on another
    machine."""
    if not is_held(file):
        return 0
    try:
        holder = json.loads(file.read_text())
        pid, host = int(holder["pid"]), holder["host"]
    except (OSError, ValueError, KeyError, TypeError):
        return 0
    if host != os.uname().nodename:
        raise UserError(f"this sweep is being run on {host} (pid {pid})", source=str(file.parent), hint="go there")
    return pid


def _unusable(file: Path, error: OSError | ValueError) -> UserError:
    why = error.strerror if isinstance(error, OSError) else error
    hint = "choose another folder as temp_dir"
    return UserError(f"the sweep's folder cannot be used: {why}", source=str(file.parent), key="temp_dir", hint=hint)


def refusal(file: Path) -> UserError:
    try:
        holder = json.loads(file.read_text())
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(float(holder["since"])))
        who = f"pid {int(holder['pid'])} on {holder['host']} since {since}"
    except (OSError, ValueError, KeyError, TypeError):
        who = "another process"
    return UserError(
        f"this sweep is being run by {who}",
        source=str(file.parent),
        hint=f"follow it with: automate-train status {file.parent}",
    )
