"""The GPUs of a sweep: which of them runs may use, and whether the runs ask for GPUs that are there.

Covers: the device flags, `CUDA_VISIBLE_DEVICES`, the runs' own `cuda_device`. Not: reading the devices
(`machine/gpus`), which run gets which (`training/placement`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from ..config.keys import unset
from ..errors import Problem, UserError
from ..machine import gpus as machine
from ..machine.gpus import Gpu
from ..records import Run, SweepContext


def find(listed: str | None, limited: bool) -> tuple[list[Gpu], tuple[str, ...], list[Problem]]:
    """(this machine's GPUs, ids of those that the runs share, problems). `listed`: what --cuda_devices_distributed
    says; None: each run names its own devices. `limited`: --cuda-memory-limit is given."""
    flag = "--cuda_devices_distributed" if listed is not None else "--cuda-memory-limit"
    found = machine.snapshot()
    if not found:
        text = f"no GPU can be used here: {machine.why()}"
        if listed is not None or limited:
            return [], (), [Problem("error", "command line", flag, text, "on the CPU: --cpu N")]
        return [], (), [Problem("warning", "", "", f"{text}; everything runs on the CPU", "--cpu N: N runs at a time")]
    if listed is None:
        return found, (), []
    try:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        return found, tuple(machine.parse_devices(listed, found, visible, flag, "command line")), []
    except UserError as error:
        return found, (), [error.problem]


def problems(runs: Sequence[Run], context: SweepContext, gpus: Sequence[Gpu]) -> Iterator[Problem]:
    """Devices that runs name and that are not there, and runs that ask for more than are listed."""
    if context.cpu:
        return
    for gpu in gpus:
        if gpu.lost and gpu.id in context.pool:
            text = "is lost: it is skipped, and used again when it comes back"
            yield Problem("warning", f"GPU {gpu.index}", "", text)
    for named, source in dict.fromkeys(map(_named, runs)):
        count = len([part for part in named.split(",") if part.strip()])
        if context.pool and count > len(context.pool):
            text = f"a run asks for {count} devices, --cuda_devices_distributed lists {len(context.pool)}"
            yield Problem("error", source, "cuda_device", text, "list more devices")
        elif not context.pool:
            try:
                machine.parse_devices(named or "0", gpus, os.environ.get("CUDA_VISIBLE_DEVICES"))
            except UserError as error:
                yield Problem("error", source, "cuda_device", error.problem.message, error.problem.hint)


def _named(run: Run) -> tuple[str, str]:
    """(the devices that a run names, where that is written)."""
    option = run.options.get("cuda_device")
    if option is None:
        return "", "built-in"
    return "" if unset(option.value) else str(option.value), str(option.source)
