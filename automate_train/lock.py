"""One orchestrator a sweep: who holds it, and whether that one is still there.

Covers: an advisory lock on `<sweep>/lock` that the system releases when its holder dies, however it dies, with a
line that says who holds it. Not: protection against people who edit the folder by hand.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import UserError


@contextmanager
def held(file: Path) -> Iterator[None]:
    """Hold the sweep; `UserError` naming the holder when another orchestrator does."""
    import fcntl

    file.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise refusal(file) from None
        me = {"host": os.uname().nodename, "pid": os.getpid(), "since": time.time()}
        os.ftruncate(fd, 0)
        os.pwrite(fd, json.dumps(me).encode(), 0)
        yield
    finally:
        os.close(fd)  # the lock goes with the descriptor; the file stays, so that nobody locks a deleted one


def is_held(file: Path) -> bool:
    import fcntl

    try:
        fd = os.open(file, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


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
