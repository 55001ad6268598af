"""Jobs as squeue tells of them, and the names by which a job and an attempt are found again.

Covers: parsing squeue's answer, why a job waits in Slurm's own words, the job's name, the executor's handle. Pure: no
command is run here (`slurm_commands`).
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from ..store.layout import ATTEMPT, AttemptFolder

FORMAT = "%i|%T|%r|%S|%j"
NAME = re.compile(rf"(?P<inside>{ATTEMPT.pattern})@(?P<sweep>[0-9a-f]{{8}})")
WAITING = ("PENDING", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT", "RESV_DEL_HOLD", "REQUEUE_FED")
"""States of a job that has not begun, or is to begin again."""


class Job(NamedTuple):
    id: int
    state: str
    """RUNNING, PENDING, COMPLETING ..."""
    reason: str
    start: str
    """When it begins or began; N/A where that is not known."""
    name: str

    @property
    def waits(self) -> bool:
        return self.state in WAITING

    @property
    def why(self) -> str:
        """Why it waits: `Resources`, `BeginTime until 11:51:06`."""
        if self.reason in ("None", ""):
            return "submitted"
        day, _, time = self.start.partition("T")
        return f"{self.reason} until {time}" if self.reason == "BeginTime" and day and time else self.reason


def parse(answer: str) -> dict[int, Job]:
    """The answer of `squeue --format=FORMAT`; tasks of arrays, which are never ours, are left out."""
    found = {}
    for line in answer.splitlines():
        id_, _, rest = line.partition("|")
        state, reason, start, name = (*rest.split("|", 3), "", "", "", "")[:4]
        if id_.strip().isdecimal():
            found[int(id_)] = Job(int(id_), state, reason, start, name)
    return found


class Handle(NamedTuple):
    """An attempt's job. Its text is what the journal keeps: `slurm <cluster> <job> <run's folder>/attempt-<n>`."""

    cluster: str
    job: int
    """0: the answer to its submission was lost; its name tells."""
    inside: str

    def __str__(self) -> str:
        return f"slurm {self.cluster} {self.job} {self.inside}"


def parse_handle(text: str) -> Handle | None:
    """None for a text that is no handle of ours."""
    match = re.fullmatch(rf"slurm (\S+) (\d{{1,18}}) ({ATTEMPT.pattern})", text)
    return Handle(match[1], int(match[2]), match[3]) if match else None


def job_name(attempt: AttemptFolder) -> str:
    """`<run's folder>/attempt-<n>@<8 hex of the sweep's path>`: it begins with what squeue has room for."""
    return f"{inside(attempt)}@{sweep_mark(attempt.path.parents[1])}"


def inside(attempt: AttemptFolder) -> str:
    """An attempt's folder inside its sweep's."""
    return f"{attempt.path.parent.name}/{attempt.path.name}"


def sweep_mark(sweep: Path) -> str:
    return hashlib.blake2b(os.path.realpath(sweep).encode(errors="surrogateescape"), digest_size=4).hexdigest()


def jobs_of(sweep: Path, jobs: Mapping[int, Job]) -> dict[int, str]:
    """The jobs of a sweep, by their names: id -> the folder, inside the sweep's, of the attempt that it was for."""
    named = ((job.id, NAME.fullmatch(job.name)) for job in jobs.values())
    mark = sweep_mark(sweep)
    return {id_: match["inside"] for id_, match in named if match and match["sweep"] == mark}
