"""The commands of Slurm that are run, each with its time limit.

Covers: sbatch, squeue, scancel, scontrol; squeue also beside the sweep, for it takes seconds when Slurm's controller is
away. Not: what their answers mean (`slurm_queue`), when they are run (`slurm`).
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
from collections.abc import Mapping
from functools import cache

from ..errors import UserError
from .slurm_queue import FORMAT

LIMIT = 60.0
"""Seconds that a command gets: those of Slurm give up by themselves long before."""
SQUEUE = ("squeue", "--noheader", "--all", f"--format={FORMAT}")
AWAY = re.compile(
    r"Unable to contact|[Tt]imed out|connect failure|Zero Bytes were transmitted|temporarily|Communication connection"
    r"|slurm_persist|Resource temporarily unavailable|has not responded|Slurm controller not responding"
    r"|Unable to establish configuration source|Incompatible state|Transport endpoint|in standby"
)
"""What the commands say when the controller is away or busy, and the same may succeed a moment later."""


class CommandError(Exception):
    """A command that failed; its text is what it said."""

    @property
    def passes(self) -> bool:
        return AWAY.search(str(self)) is not None


def environment() -> dict[str, str]:
    """Ours, without what a job that we run in ourselves would hand on to those that we submit."""
    kept = ("SLURM_CONF", "SLURM_CLUSTERS", "SLURM_TIME_FORMAT")
    return {name: value for name, value in os.environ.items() if not name.startswith("SLURM_") or name in kept}


def run(*argv: str, text: str = "", env: Mapping[str, str] | None = None) -> str:
    """What a command prints; `CommandError` with what it said when it fails."""
    try:
        done = subprocess.run(
            argv, input=text, env=environment() if env is None else env, capture_output=True, timeout=LIMIT,
            encoding="utf-8", errors="surrogateescape",
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise CommandError(f"{argv[0]} timed out") from None
    except (OSError, ValueError) as error:
        raise CommandError(f"{argv[0]}: {error}") from error
    if done.returncode:
        raise CommandError(" ".join((done.stderr or done.stdout).split())[-500:] or f"{argv[0]}: {done.returncode}")
    return done.stdout


def squeue() -> str:
    """All of this user's jobs; `UserError` where Slurm does not answer."""
    try:
        return run(*SQUEUE, f"--user={os.getuid()}")
    except CommandError as error:
        hint = "the runs that it has are neither lost nor started again: type the command again when it answers"
        raise UserError(f"Slurm does not answer: {error}", hint=hint) from error


def squeue_beside() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        (*SQUEUE, f"--user={os.getuid()}"), env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip


def scancel(job: int, *options: str) -> None:
    """End a job. Where it has ended already, or Slurm is away, nothing happens: who waits asks again."""
    with contextlib.suppress(CommandError):
        run("scancel", *options, str(job))


def end(job: int, now: bool) -> None:
    """End a job: SIGTERM, and what stays is killed by Slurm after KillWait; `now`: SIGKILL first, for all of it that
    Slurm can reach so."""
    if now:
        scancel(job, "--full", "--signal=KILL")
    scancel(job)


@cache
def cluster() -> str:
    """The cluster's name; `UserError` where Slurm does not answer."""
    try:
        match = re.search(r"^ClusterName\s*=\s*(\S+)", run("scontrol", "show", "config"), re.MULTILINE)
    except CommandError as error:
        raise UserError(f"Slurm does not answer: {error}", key="executor") from error
    return match[1] if match else "cluster"


def state_of(job: int) -> str:
    """How a job ended (COMPLETED, NODE_FAIL ...), as long as Slurm knows it; else empty."""
    try:
        match = re.search(r"\bJobState=(\w+)", run("scontrol", "--oneliner", "show", "job", str(job)))
    except CommandError:
        return ""
    return match[1] if match else ""
