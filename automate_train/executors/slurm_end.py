"""How Slurm ended an attempt: what it said, written into the attempt's console, where causes are looked for.

Covers: the lines of Slurm's own in the job's output (`slurm-<job>.out` in the run's folder, which all attempts of the
job share), and the job's last state where there is none. Not: what a line means (`trainers.failure_causes`).
"""

from __future__ import annotations

import contextlib
import os
import re

from ..store.files import open_regular
from ..store.layout import AttemptFolder
from .slurm_commands import state_of

SAID = re.compile(r"slurm\w*[^:\n]*: .*(CANCELLED AT|oom[-_ ]?kill|OOM)", re.IGNORECASE)
BY_ITSELF = ("COMPLETED", "FAILED", "RUNNING", "COMPLETING", "PENDING", "")
"""States that say nothing of why."""


def note_end(attempt: AttemptFolder, job: int) -> None:
    """Append to the console what Slurm said of the attempt's end, once."""
    said = _said(attempt, job)
    if not said and (state := state_of(job)) not in BY_ITSELF:
        said = [f"slurm: job {job} ended: {state}"]
    known = attempt.tail(200)
    new = [line for line in said if line not in known]
    if new:
        with contextlib.suppress(OSError):
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(attempt.console, flags, 0o666), "a", encoding="utf-8") as console:
                console.write("\n" + "\n".join(new) + "\n")


def _said(attempt: AttemptFolder, job: int) -> list[str]:
    """Slurm's own lines in the part of the job's output that the attempt has written."""
    try:
        with open_regular(attempt.path.parent / f"slurm-{job}.out") as file:
            text = file.read(1 << 20).decode("utf-8", "replace")
    except OSError:
        return []
    begin = list(re.finditer(rf"^attempt {attempt.number}$", text, re.MULTILINE))
    if not begin:
        return []
    part = re.split(r"^attempt \d+$", text[begin[-1].end() :], maxsplit=1, flags=re.MULTILINE)[0]
    return [line.strip() for line in part.splitlines() if SAID.match(line)]
