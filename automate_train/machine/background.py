"""A command of ours in a session of its own, so that it outlives the terminal that started it.

Covers: starting it, and waiting until it holds the sweep's lock or has ended. Not: what it does.
"""

from __future__ import annotations

import time
from pathlib import Path

from ..errors import UserError
from . import lock
from .child_process import ChildProcess

RAN = (0, 1, 130)
"""Exit codes of a sweep that was started and has ended: all done, a run failed, a person stopped it."""
PATIENCE = 60.0
"""Seconds until a command that is still checking its configs is left to itself."""


def start(command: list[str], log: Path, lock_file: Path) -> ChildProcess:
    """What the command prints goes to `log`; `UserError` when it ends with an error at once."""
    log.parent.mkdir(parents=True, exist_ok=True)
    before = log.stat().st_size if log.exists() else 0
    child = ChildProcess(command, log=log)
    deadline = time.monotonic() + PATIENCE
    while not lock.is_held_by(lock_file, child) and time.monotonic() < deadline:
        code = child.poll()
        if code in RAN:
            break
        if code is not None:
            text = log.read_bytes()[before:].decode(errors="replace").strip().splitlines()
            raise UserError(f"the sweep did not start: {text[-1] if text else 'it printed nothing'}", source=str(log))
        time.sleep(0.02)
    return child
