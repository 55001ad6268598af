"""What the folders tell of a sweep's jobs: which attempt a job is at, which job an attempt has, how it ended.

Covers: reading them, on disks that several machines share. Not: the queue (`slurm_squeue`), what follows (`slurm`).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Set
from pathlib import Path

from ..store.launch import read_launch
from ..store.layout import AttemptFolder
from .slurm_queue import Job, jobs_of, parse_handle


def has_ended_by_itself(attempt: AttemptFolder) -> bool:
    """Whether the trainer has ended, and neither a signal nor Slurm has ended it: then its job never goes on."""
    code = attempt.read_exit_code()
    return code is not None and code <= 128 and not os.path.exists(attempt.interrupted)


def exists(file: Path) -> bool:
    """Also where a network disk still remembers that there was no such file: opening the folder makes it look."""
    with contextlib.suppress(OSError):
        os.close(os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
    return os.path.exists(file)


def job_told(attempt: AttemptFolder) -> int:
    """The job that has begun the attempt, by its own words; 0 before that."""
    try:
        text = attempt.slurm_job.read_text(encoding="ascii")[:20].strip()
    except (OSError, ValueError):
        return 0
    return int(text) if text.isdecimal() else 0


def later_attempt(attempt: AttemptFolder, job: int) -> AttemptFolder | None:
    """The next attempt that the same job has begun (`training.next_attempt`)."""
    number = attempt.number + 1
    while os.path.isdir(path := attempt.path.with_name(f"attempt-{number}")):
        if job_told(later := AttemptFolder(path)) == job and read_launch(later).run is not None:
            return later
        number += 1
    return None


def folders_of(sweep: Path, jobs: Mapping[int, Job]) -> dict[int, AttemptFolder]:
    """The sweep's jobs -> the attempt that each is at. A folder that another job has begun is not its folder."""
    found = {}
    for job, inside in jobs_of(sweep, jobs).items():
        folder = AttemptFolder(os.path.join(os.path.realpath(sweep), inside))
        if job_told(folder) in (0, job):
            while (later := later_attempt(folder, job)) is not None:
                folder = later
            found[job] = folder
        else:
            found[job] = AttemptFolder(f"{folder.path}-deleted")
    return found


def job_of(attempt: AttemptFolder, handle: str, folders: Mapping[int, AttemptFolder], asked: Set[str]) -> int:
    """The job that an attempt runs in, or is waiting in; 0: none. `asked`: the attempts that are known. Where a job
    has gone on in one that is not, it is told by the last one that is."""
    path, known = os.path.realpath(attempt.path), parse_handle(handle)
    jobs = []
    for job, folder in folders.items():
        unknown = str(folder.path) not in asked and folder.path.parent == Path(path).parent
        if str(folder.path) == path or (unknown and job in (job_told(attempt), known.job if known else 0)):
            jobs.append(job)
    return known.job if known and known.job in jobs else max(jobs, default=0)
