"""Whether the cluster takes the runs: its commands, its word on the options of their jobs, what they need on a node.

Covers: the checks of a sweep whose runs are jobs, and what `--check-cluster` asks a node. Not: Slurm itself
(`executors.slurm_*`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ..config.values import unset, whole
from ..errors import Problem, UserError
from ..executors import slurm_checks, slurm_options
from ..records import Run, Setting, SweepContext
from ..trainers import load
from ..trainers.launch_parts import device_count, trial_attempt

MAX_QUEUED = 20


def on_slurm(context: SweepContext, settings: Mapping[str, Setting], cpu: bool) -> SweepContext:
    """The context of a sweep whose runs are jobs: none shares its cores with another. `cpu`: they use no GPU."""
    queued, table = (settings[key].value if key in settings else None for key in ("max_queued", "slurm"))
    slots = whole(queued) or MAX_QUEUED
    named = {name.replace("_", "-"): value for name, value in table.items()} if isinstance(table, dict) else {}
    cores = whole(named.get("cpus-per-task")) or whole(named.get("cpus-per-gpu")) or 1
    return context._replace(executor="slurm", slots=slots, cores=cores * slots, cpu=cpu, devices=(), pool=())


def problems(runs: Sequence[Run], context: SweepContext) -> Iterator[Problem]:
    """What is wrong with the runs' jobs. sbatch is asked once for each kind of job."""
    if context.executor == "local":
        yield from _unused(runs)
        return
    if names := slurm_checks.missing():
        text, hint = f"there is no {names} on the PATH", "type the command on a login node of the cluster"
        yield Problem("error", "", "executor", text, hint)
        return
    asked: set[str] = set()
    for run in runs:
        option, gpus = run.options.get("slurm"), device_count(run.options, context)
        value = {} if option is None or unset(option.value) else option.value
        wrong = list(slurm_options.problems(value, gpus))
        if not wrong and isinstance(value, dict) and (kind := json.dumps([value, gpus], default=str)) not in asked:
            asked.add(kind)
            text = slurm_checks.refusal(value, gpus)
            wrong = [f"sbatch refuses the job: {text}"] if text else []
        source, written = (str(option.source), option.written) if option else ("", "slurm")
        yield from (Problem("error", source, written, message) for message in wrong)


def _unused(runs: Sequence[Run]) -> Iterator[Problem]:
    for key in ("slurm", "max_queued"):
        option = next((run.options[key] for run in runs if key in run.options), None)
        if option is not None:
            hint = "--executor slurm runs each as a job"
            yield Problem("warning", str(option.source), option.written, "is ignored: the runs run here", hint)


def look_at_a_node(run: Run, context: SweepContext) -> Iterator[str]:
    """What a job of this run finds on its node, in lines; `RunError` when something is missing there."""
    if context.executor == "local":
        raise UserError("--check-cluster goes with --executor slurm", source="command line")
    table = slurm_options.table_of(run)
    launch = load(run.options["trainer"].value).prepare(run, trial_attempt(run, context), context)
    programs = {"the trainer's program": launch.argv[0]}
    yield from slurm_checks.probe(table, device_count(run.options, context), Path(context.temp_dir), programs)
