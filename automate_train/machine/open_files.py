"""Whether this process may open more files.

Covers: the limit of this process (`ulimit -n`) and that of the machine. Not: what is done about it (`training.loop`).
"""

from __future__ import annotations

import errno
import os

TOO_MANY = (errno.EMFILE, errno.ENFILE)


def can_open(count: int) -> bool:
    """Whether as many files can be open at once beside those that are."""
    opened: list[int] = []
    try:
        while len(opened) < count:
            opened.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        return error.errno not in TOO_MANY
    finally:
        for fd in opened:
            os.close(fd)
    return True
