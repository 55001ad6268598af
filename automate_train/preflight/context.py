"""How the runs of a sweep are to run, from its configs and flags.

Covers: the one place where a `SweepContext` is made. Not: which devices there are (`devices`), what a cluster changes
(`cluster`), the held-out pictures (`held_out`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from ..config.key_sets import BUILT_IN
from ..config.values import text_of, unset
from ..errors import Problem
from ..machine.gpus import Gpu
from ..records import Setting, SweepContext
from ..sweep.request import SweepRequest
from . import cluster, devices


def context_of(
    request: SweepRequest, project: str, settings: Mapping[str, Setting]
) -> tuple[SweepContext, list[Gpu] | None, list[Problem]]:
    """How the runs are to run, this machine's GPUs (None: by --cpu, or others place the runs), and what is wrong with
    them."""
    gpus: list[Gpu] | None = None
    pool: tuple[str, ...] = ()
    found: list[Problem] = []
    executor = text_of(settings["executor"].value) if "executor" in settings else ""
    if executor == "slurm":
        found = devices.none_of_ours(request.cuda_devices, request.memory_limit)
    elif request.cpu_slots is None:
        gpus, pool, found = devices.find(request.cuda_devices, request.memory_limit is not None)
    temp_dir = settings["temp_dir"].value
    temp_dir = str(BUILT_IN["temp_dir"] if unset(temp_dir) else temp_dir)
    context = SweepContext(
        temp_dir=os.path.abspath(os.path.expanduser(temp_dir)),
        project=project,
        slots=len(pool) or request.cpu_slots or 1,
        cores=len(os.sched_getaffinity(0)),
        cpu=not gpus,
        devices=pool or tuple(gpu.id for gpu in gpus or ()),
        pool=pool,
        memory_limit=request.memory_limit or 0,
        stop_on_failure=settings["on_failure"].value == "stop",
        command=request.command,
        cwd=os.getcwd(),
        config_files=request.config_files,
    )
    if executor == "slurm":
        context = cluster.on_slurm(context, settings, cpu=request.cpu_slots is not None)
    return context, gpus, found
