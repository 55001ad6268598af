"""File locks between processes, which end with the process that holds them.

Covers: marking an attempt as in use by its training or by a backfill of images, making an Aim repository one process
at a time. Not: the lock of a sweep (`machine/lock`).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator


def hold(file: str, seconds: float = 0.0) -> int | None:
    """Lock `file` for as long as this process lives; None when another process has it, or when there is no such file.

    `seconds`: how long to wait for it. On file systems without locks it is always free."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    end = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                os.close(descriptor)
                return None
            time.sleep(0.05)
        except OSError:
            return descriptor
        else:
            return descriptor


@contextlib.contextmanager
def exclusive(file: str) -> Iterator[None]:
    """One process at a time: two that create an Aim repository at once damage it."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
