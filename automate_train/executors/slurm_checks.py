"""Whether Slurm can be used, before anything is submitted, and a job that looks at a node.

Covers: asking sbatch without submitting (`--test-only`), the probe job of `--check-cluster`. Not: the form of the
options (`slurm_options`).
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from ..errors import RunError
from . import slurm_commands, slurm_queue
from .slurm_options import options

ASK_SECONDS = 5.0
NEEDED = ("sbatch", "squeue", "scancel", "scontrol")


def missing() -> str:
    """Those of Slurm's commands that are not on the PATH; empty when all are."""
    return ", ".join(name for name in NEEDED if shutil.which(name) is None)


def refusal(table: Mapping[str, object], gpus: int) -> str:
    """Why sbatch would not take a job with these options; empty when it would."""
    try:
        slurm_commands.run("sbatch", "--test-only", *options(table, gpus), text="#!/bin/bash\ntrue\n")
    except slurm_commands.CommandError as error:
        return str(error).removeprefix("sbatch: error: ")
    return ""


def probe(table: Mapping[str, object], gpus: int, temp_dir: Path, programs: Mapping[str, str]) -> Iterator[str]:
    """Submit a job that looks at its node, wait for it, and tell what it saw, a line each; `RunError` when something
    that runs need is not there. `programs`: what each is for -> its path."""
    temp_dir.mkdir(parents=True, exist_ok=True)
    seen = temp_dir / f".cluster-check-{os.uname().nodename}-{os.getpid()}"
    ours = ("--job-name=automate-train-check", "--output=/dev/null", "--no-requeue")
    try:
        answer = slurm_commands.run("sbatch", "--parsable", *options(table, gpus), *ours, text=_script(seen, programs))
    except slurm_commands.CommandError as error:
        raise RunError(f"sbatch refuses the job: {error}") from error
    job = int(answer.split(";")[0])
    yield f"job {job} looks at a node (Ctrl-C ends it)"
    try:
        yield from _wait(job)
        time.sleep(1)  # a shared disk shows it a moment later
        lines = seen.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        text = f"job {job} left no file in {temp_dir}: the nodes do not share that folder, or may not write there"
        raise RunError(text) from None
    finally:
        slurm_commands.scancel(job)
        seen.unlink(missing_ok=True)
    yield from lines
    if bad := [line for line in lines if line.startswith("missing")]:
        raise RunError(f"the node lacks what runs need: {'; '.join(bad)}")


def _script(seen: Path, programs: Mapping[str, str]) -> str:
    asked: dict[str, tuple[str, ...]] = {
        f"{what} ({path})": (path, "-V") if Path(path).name.startswith("python") else ("ls", path)
        for what, path in programs.items()
    }
    ours = "import automate_train.training.next_attempt as found; print(found.__file__)"
    asked[f"automate-train ({sys.executable})"] = (sys.executable, "-c", ours)
    lines = ["#!/bin/bash", f"exec >{shlex.quote(str(seen))} 2>&1", 'echo "node: $(hostname)"',
             'echo "GPUs: ${CUDA_VISIBLE_DEVICES:-none}"']  # fmt: skip
    for what, command in asked.items():
        name = shlex.quote(what)
        lines.append(f"if found=$({shlex.join(command)}); then echo {name}: $found; else echo missing: {name}; fi")
    return "\n".join(lines) + "\n"


def _wait(job: int) -> Iterator[str]:
    said = ""
    while (found := slurm_queue.parse(slurm_commands.squeue()).get(job)) is not None:
        if found.waits and found.why != said:
            said = found.why
            yield f"it waits: {said}"
        time.sleep(ASK_SECONDS if found.waits else 1.0)
