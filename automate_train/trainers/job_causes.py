"""How Slurm has ended a run, from its own lines at the console's end (`executors.slurm_end` has written them there).

Covers: one table of causes, each with a line that shows it. Not: what the trainer itself has printed
(`failure_causes`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from .cause import Cause

TABLE = (
    Cause(
        "out_of_memory_of_job", "the job's memory was not enough: the cgroup of Slurm has ended it",
        "ask for more (slurm: mem), or lower max_data_loader_n_workers", r"\boom[-_ ]?kill|ended: OUT_OF_MEMORY",
        "slurmstepd: error: Detected 1 oom_kill event in StepId=12.batch. Some of the step tasks have been OOM Killed.",
        from_outside=True,
    ),
    Cause(
        "time_limit", "the time limit of Slurm was over",
        "give it more (slurm: time), or set save_state and the job goes on from its newest state",
        r"DUE TO TIME LIMIT|the time limit of Slurm is near|ended: (TIMEOUT|DEADLINE)",
        "slurmstepd-n1: error: *** JOB 4 ON n1 CANCELLED AT 2026-11-24T19:25:47 DUE TO TIME LIMIT ***",
        from_outside=True,
    ),
    Cause(
        "preempted", "preempted by Slurm for another job", "the same command goes on",
        r"DUE TO PREEMPTION|ended: PREEMPTED",
        "slurmstepd-n1: error: *** JOB 2 ON n1 CANCELLED AT 2026-11-24T19:24:25 DUE TO PREEMPTION ***", True, True,
    ),
    Cause(
        "node_failed", "the node of its job failed", "the same command goes on",
        r"DUE TO NODE FAILURE|ended: (NODE_FAIL|BOOT_FAIL)", "slurm: job 12 ended: NODE_FAIL", True, True,
    ),
    Cause(
        "requeued", "its job was put back into the queue", "the same command goes on", r"DUE TO JOB REQUEUE",
        "slurmstepd-n1: error: *** JOB 2 ON n1 CANCELLED AT 2026-11-24T19:24:36 DUE TO JOB REQUEUE ***",
        from_outside=True,
    ),
    Cause(
        "job_cancelled", "its job was cancelled (scancel)", "the same command goes on",
        r"CANCELLED AT \S+ \*\*\*|ended: CANCELLED",
        "slurmstepd-n1: error: *** JOB 1 ON n1 CANCELLED AT 2026-11-24T19:24:00 ***", from_outside=True,
    ),
)  # fmt: skip
"""In the order in which they are looked for."""
BY_SLURM = re.compile(r"slurm\w*[^:]*: (error: |job \d+ ended: )|automate-train: the time limit")


def find(lines: Sequence[str]) -> tuple[Cause, str] | None:
    """(cause, why the run ended, in words); None where Slurm has not ended it."""
    told = [line for line in lines if BY_SLURM.match(line)]
    found = ((cause, line) for cause in TABLE for line in told if cause.matches(line))
    cause, line = next(found, (None, ""))
    return (cause, cause.text(line)) if cause else None
