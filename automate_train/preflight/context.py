"""The machine that a sweep runs on: its devices, how many runs at a time, where the folders go.

Covers: the device flags, `CUDA_VISIBLE_DEVICES`, `temp_dir`. Not: reading the devices (`gpus`), which run gets which
(`placement`), whether the runs' own `cuda_device` is right (`preflight`).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..cli.parser import gibibytes, number
from ..config.keys import BUILT_IN, unset
from ..errors import Problem, UserError
from ..records import SweepContext

if TYPE_CHECKING:
    from ..machine.gpus import Gpu


@dataclass(frozen=True)
class Machine:
    context: SweepContext
    gpus: list[Gpu]
    pool: tuple[str, ...]
    """Devices that the runs share; their number is that of the runs at a time. Empty: each run names its own."""
    limit: int
    """Bytes that must be free on a device."""


def look(flags: Any, project: str, temp_dir: Any, found: list[Problem]) -> Machine:
    """The machine as the flags want it; what is wrong with its devices goes to `found`."""
    gpus: list[Gpu] = []
    pool: tuple[str, ...] = ()
    listed, limit = flags.cuda_devices_distributed, 0
    flag = "--cuda_devices_distributed" if listed is not None else "--cuda-memory-limit"
    asked = listed is not None or flags.cuda_memory_limit is not None
    if flags.cuda_memory_limit is not None:
        limit = gibibytes("--cuda-memory-limit", flags.cuda_memory_limit)
    if flags.cpu is None:
        from ..machine import gpus as door

        gpus = door.snapshot()
        if not gpus:
            text = f"no GPU can be used here: {door.why()}"
            found.append(
                Problem("error", "command line", flag, text, "on the CPU: --cpu N")
                if asked
                else Problem("warning", "", "", f"{text}; everything runs on the CPU", "--cpu N: N runs at a time")
            )
        elif listed is not None:
            try:
                visible = os.environ.get("CUDA_VISIBLE_DEVICES")
                pool = tuple(door.parse_devices(listed, gpus, visible, flag, "command line"))
            except UserError as error:
                found.append(error.problem)
    elif asked:
        raise UserError("--cpu and the --cuda flags exclude each other", source="command line")
    slots = len(pool) if pool else number("--cpu", flags.cpu, 1) if flags.cpu is not None else 1
    if unset(temp_dir):
        temp_dir = BUILT_IN["temp_dir"]
    context = SweepContext(
        temp_dir=os.path.abspath(os.path.expanduser(str(temp_dir))),
        project=project,
        slots=slots,
        cores=len(os.sched_getaffinity(0)),
        cpu=not gpus,
    )
    return Machine(context, gpus, pool, limit)
