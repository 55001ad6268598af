"""A command in a session of its own, so that it outlives the terminal that started it.

Covers: starting it, and waiting until it holds the sweep's lock or has ended. Not: what it does.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from ..errors import UserError
from . import lock

PATIENCE = 60.0
"""Seconds until a command that is still checking its configs is left to itself."""


def start(command: list[str], log: Path, lock_file: Path) -> int:
    """The process id. What the command prints goes to `log`; `UserError` when it ends with an error at once."""
    log.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    pid = os.posix_spawn(
        command[0],
        command,
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), flags, 0o666),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )
    deadline = time.monotonic() + PATIENCE
    while lock.holder_here(lock_file) != pid and time.monotonic() < deadline:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            if os.waitstatus_to_exitcode(status) == 0:  # there was nothing to do, or it was quick
                break
            text = log.read_text(errors="replace").strip().splitlines()
            raise UserError(f"the sweep did not start: {text[-1] if text else 'it printed nothing'}", source=str(log))
        time.sleep(0.02)
    return pid
