"""The text by which an executor of this machine finds a shell again: "<pid> <start in clock ticks> <boot's id> <host>".

Covers: writing and reading it, whether its shell lives, the exit code that a child of ours left. Not: who starts shells
(`local`), /proc (`machine.processes`).
"""

from __future__ import annotations

import contextlib
import os

from ..machine.processes import ProcessId


def handle_of(shell: ProcessId) -> str:
    return f"{shell.pid} {shell.ticks} {shell.boot} {shell.host}"


def parse(handle: str) -> ProcessId | None:
    """None for a text that is no handle."""
    pid, ticks, boot, host = (*handle.split(" "), "", "", "", "")[:4]
    if not (host and pid.isdecimal() and ticks.isdecimal() and len(pid) < 10):
        return None
    return ProcessId(int(pid), int(ticks), boot, host)


def pid_of(handle: str) -> int:
    """0 for a text that is no handle: `signal_group` refuses it."""
    shell = parse(handle)
    return shell.pid if shell else 0


def is_alive(handle: str) -> bool:
    """Whether the attempt's shell lives."""
    shell = parse(handle)
    return shell is not None and shell.alive


def reap(handle: str) -> int | None:
    """The exit code of a shell that has ended; None where it was killed, or where another process is its parent: an
    earlier orchestrator has started it."""
    with contextlib.suppress(ChildProcessError):
        code = os.waitstatus_to_exitcode(os.waitpid(pid_of(handle), 0)[1])
        return code if code >= 0 else None
    return None
