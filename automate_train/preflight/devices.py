"""The GPUs of a sweep: which of them runs may use, and whether the runs ask for GPUs that are there.

Covers: the device flags, `CUDA_VISIBLE_DEVICES`, the runs' own `cuda_device`, runs that need a GPU where there is none,
a memory limit that no card can meet. Not: reading the devices (`machine/gpus`), which run gets which
(`training/placement`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from ..config.values import unset
from ..errors import Problem, UserError
from ..machine import gpus as machine
from ..machine import reservations
from ..machine.gpus import Gpu
from ..records import GIB, Run, SweepContext
from ..trainers import load

Found = tuple[list[Gpu] | None, tuple[str, ...], list[Problem]]


def find(listed: str | None, limited: bool) -> Found:
    """(this machine's GPUs, ids of those that the runs share, problems). `listed`: what --cuda_devices_distributed
    says; None: each run names its own devices. `limited`: --cuda-memory-limit is given. None for the GPUs: what is to
    be said about them is among the problems."""
    flag = "--cuda_devices_distributed" if listed is not None else "--cuda-memory-limit"
    found = machine.snapshot()
    if not found and (listed is not None or limited):
        text = f"no GPU can be used here: {machine.why()}"
        return None, (), [Problem("error", "command line", flag, text, "on the CPU: --cpu N")]
    if listed is None:
        return found, (), []
    try:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        return found, tuple(machine.parse_devices(listed, found, visible, flag, "command line")), []
    except UserError as error:
        return found, (), [error.problem]


def none_of_ours(listed: str | None, limit: int | None) -> list[Problem]:
    """What is wrong with the device flags where a cluster places the runs."""
    flags = {"--cuda_devices_distributed": listed, "--cuda-memory-limit": limit}
    hint = "cuda_device says how many GPUs a run gets, slurm which ones"
    return [
        Problem("error", "command line", flag, "this machine's GPUs are not used: Slurm places the runs", hint)
        for flag, value in flags.items() if value is not None
    ]  # fmt: skip


def problems(runs: Sequence[Run], context: SweepContext, gpus: Sequence[Gpu] | None) -> Iterator[Problem]:
    """Devices that runs need, name or ask for and that are not there. `gpus`: None on the CPU by --cpu."""
    if gpus is None:
        return
    if not gpus:
        yield _no_gpu(runs)
        return
    if why := reservations.problem():
        text = f"these GPUs cannot be reserved, so another sweep may use them too: {why}"
        yield Problem("warning", "", "", text, f"{reservations.FOLDER}=DIR names a folder that they share")
    for gpu in gpus:
        if gpu.lost and gpu.id in context.pool:
            text = "is lost: it is skipped, and used again when it comes back"
            yield Problem("warning", f"GPU {gpu.index}", "", text)
    yield from _judge_device(runs[0], context, gpus)
    for named, source in dict.fromkeys(map(_named, runs)):
        count = len([part for part in named.split(",") if part.strip()])
        if context.pool and count > len(context.pool):
            text = f"a run asks for {count} devices, --cuda_devices_distributed lists {len(context.pool)}"
            yield Problem("error", source, "cuda_device", text, "list more devices")
            continue
        try:
            ids = context.pool or machine.parse_devices(named or "0", gpus, os.environ.get("CUDA_VISIBLE_DEVICES"))
        except UserError as error:
            yield Problem("error", source, "cuda_device", error.problem.message, error.problem.hint)
            continue
        cards = [gpu for gpu in gpus if gpu.id in ids]
        large = [gpu for gpu in cards if gpu.lost or gpu.total >= context.memory_limit]
        if len(large) < (max(1, count) if context.pool else len(cards)):
            yield _too_small(cards, context.memory_limit)


def _judge_device(run: Run, context: SweepContext, gpus: Sequence[Gpu]) -> Iterator[Problem]:
    """A GPU of its own for a judge that works beside the runs: on one of theirs, trainings would wait for it."""
    when, device = run.options.get("judge"), run.options.get("judge_device")
    beside = when is not None and when.value == "beside"
    if device is None or unset(device.value):
        if beside and when is not None:
            text = "needs a GPU of its own: judge_device is not given"
            yield Problem("error", str(when.source), when.written, text, 'for example "judge_device": "1"')
        return
    try:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        ids = machine.parse_devices(str(device.value), gpus, visible, device.written, str(device.source))
    except UserError as error:
        yield error.problem
        return
    if beside and set(ids) & set(context.pool):
        text = "is one of the runs' devices, and they would wait for it"
        hint = "leave it out of --cuda_devices_distributed"
        yield Problem("error", str(device.source), device.written, text, hint)


def _no_gpu(runs: Sequence[Run]) -> Problem:
    text = f"no GPU can be used here: {machine.why()}"
    for run in runs:
        trainer = run.options["trainer"]
        try:
            if load(trainer.value).needs_gpu(run):
                hint = "--cpu N trains on the CPU, N runs at a time"
                return Problem("error", "", "", f"{text}; {trainer.value} needs one", hint)
        except UserError:  # there is no such trainer, which another check says
            continue
    return Problem("warning", "", "", f"{text}; everything runs on the CPU", "--cpu N: N runs at a time")


def _too_small(cards: Sequence[Gpu], limit: int) -> Problem:
    # Rounded down, as `placement` says what is free.
    sizes = ", ".join(f"GPU {gpu.index} has {gpu.total * 10 // GIB / 10:g} GiB" for gpu in cards)
    text = f"{limit / GIB:g} GiB can never be free: in all, {sizes}"
    return Problem("error", "command line", "--cuda-memory-limit", text, "lower it, or list larger cards")


def _named(run: Run) -> tuple[str, str]:
    """(the devices that a run names, where that is written)."""
    option = run.options.get("cuda_device")
    if option is None:
        return "", "built-in"
    return "" if unset(option.value) else str(option.value), str(option.source)
