"""On which device a measure runs: one that nobody has reserved on this machine, or the CPU.

Covers: waiting for a device, reserving it. Not: what runs there (`measurer`).
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from ..machine import gpus, reservations
from ..store.layout import SweepFolder

LOOK_SECONDS = 2.0
"""Until devices that others use are looked at again: nothing tells of them."""


class Held(NamedTuple):
    visible: str
    """For CUDA_VISIBLE_DEVICES; empty: the CPU."""
    reservation: int | None
    """The descriptor that holds it."""
    label: str


@contextmanager
def held(folder: SweepFolder, wanted: str | None, on_cpu: bool, say: Callable[[str], None]) -> Iterator[Held]:
    """A device of this machine, waited for where all are taken: of those that `wanted` names (None: of all) the one
    with the most free memory. `UserError`: there is no such device."""
    found = [] if on_cpu else gpus.snapshot()
    if not found:
        yield Held("", None, "the CPU")
        return
    ids = gpus.parse_devices(wanted or "all", found, os.environ.get("CUDA_VISIBLE_DEVICES"), "--device")
    taken = _take(folder, ids)
    if taken is None:
        say(f"waits for a device: {_why(ids)}")
    while taken is None:
        time.sleep(LOOK_SECONDS)
        taken = _take(folder, ids)
    try:
        yield taken
    finally:
        if taken.reservation is not None:
            os.close(taken.reservation)


def _take(folder: SweepFolder, ids: list[str]) -> Held | None:
    there = [gpu for gpu in gpus.snapshot() if gpu.id in ids and not gpu.lost]
    for gpu in sorted(there, key=lambda each: -each.free):
        name = gpus.cuda_names([gpu.id])[0]
        try:
            reservation = reservations.take([name], folder.path)
        except OSError:  # devices cannot be reserved here, which a sweep says
            return Held(name, None, f"GPU {gpu.index}")
        if reservation is not None:
            return Held(name, reservation, f"GPU {gpu.index}")
    return None


def _why(ids: list[str]) -> str:
    there = {gpu.uuid or gpu.id: gpu for gpu in gpus.snapshot() if gpu.id in ids}
    with contextlib.suppress(OSError):
        taken = reservations.taken(there)
        if taken:
            return ", ".join(f"GPU {there[each].index} is used by {who}" for each, who in taken.items())
    return "none can be used now"
