"""Processes of ours in tests: waiting for the end of one, with what it has said."""

from __future__ import annotations

import subprocess


def ended(process: subprocess.Popen[str], seconds: float) -> tuple[int, str]:
    """(exit code, what it said); a process that does not end is killed, and the test fails with what it said."""
    try:
        said = process.communicate(timeout=seconds)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        raise AssertionError(process.communicate()[0]) from None
    return process.returncode, said
