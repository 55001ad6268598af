"""Which waiting run starts now, on which devices, and why the others wait.

Covers: one pure function, `decide`; slots, GPUs, what other sweeps have reserved, memory limit, shared caches, fairness
to multi-GPU runs. Nothing is
remembered from one call to the next: what is held follows from the started attempts each time, so none is forgotten.
Not: reading devices and starting anything (`executors`), whether anything may start at all (`loop`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import NamedTuple

from ..records import GIB, Device, SweepContext


class Request(NamedTuple):
    """What a waiting run asks for."""

    key: str
    name: str
    """As people call it: `run 3`."""
    gpus: int
    devices: tuple[str, ...] = ()
    """Exactly these, when the run names its own; else any of the pool."""
    fills: frozenset[str] = frozenset()
    """Shared caches that are not filled yet and that this run would fill."""


class Held(NamedTuple):
    """What a started attempt holds."""

    name: str
    devices: frozenset[str] = frozenset()
    fills: frozenset[str] = frozenset()
    occupied: str = ""
    """It has ended, and this of it holds its devices: `pid 1234 of run 3, which has ended`. It takes no slot."""
    takes_slot: bool = True
    """False: it has left the queue of the engine that places the runs."""


class Start(NamedTuple):
    key: str
    devices: tuple[str, ...]


class Wait(NamedTuple):
    key: str
    why: str
    recheck: bool = False
    """The reason lies outside our runs (another program's memory): no event tells when it passes."""


def decide(
    waiting: Sequence[Request], running: Sequence[Held], devices: Sequence[Device] | None, context: SweepContext
) -> list[Start | Wait]:
    """One decision for each waiting run that was looked at, in their order. `devices`: None when the executor places.

    Runs start in order. A run that cannot start for want of devices lets nobody pass, so that single-GPU runs never
    starve a multi-GPU one; a run that only waits for a shared cache, or for more devices than are alive, is passed.
    """
    known = {device.id: device for device in devices or ()}
    held = {device for each in running for device in each.devices}
    filling = {cache: each.name for each in running for cache in each.fills}
    occupied = {device: each.occupied for each in running if each.occupied for device in each.devices}
    free_slots = context.slots - sum(each.takes_slot and not each.occupied for each in running)
    decisions: list[Start | Wait] = []
    for request in waiting:
        if free_slots <= 0:
            break
        if busy := sorted(request.fills & filling.keys()):
            why = f"{filling[busy[0]]} is filling the latents cache that this run shares"
            decisions.append(Wait(request.key, why, recheck=True))
            continue
        count = 0 if devices is None else request.gpus
        listed = [known[each] for each in request.devices or context.devices if each in known]
        alive = [device for device in listed if not device.lost]
        if len(alive) < count:
            gone = ", ".join(device.label for device in listed if device.lost) or "none listed"
            why = f"needs {_count(count)}, {len(alive)} alive (lost: {gone})"
            decisions.append(Wait(request.key, why, recheck=True))
            continue
        idle = [device for device in alive if device.id not in held and not device.reserved]
        fit = [device for device in idle if device.free >= context.memory_limit]
        if len(fit) < count:
            full = [device for device in idle if device.free < context.memory_limit]
            away = [f"{device.label} is {where}" for device in listed if (where := _away(device, held, occupied))]
            reasons = [_full(device, context.memory_limit) for device in full]
            if count > 1 and not full:
                reasons = [f"needs {count} devices at once, {len(fit)} free"]
            elif not full and len(away) < len(listed):
                reasons = ["all devices are taken by other runs"]
            decisions.append(Wait(request.key, "; ".join([*reasons, *away]), recheck=bool(full or away)))
            break
        # Most free memory first; the listed order decides between equals.
        chosen = tuple(device.id for device in sorted(fit, key=lambda device: -device.free)[:count])
        decisions.append(Start(request.key, (request.devices or chosen) if count else ()))
        held.update(chosen)
        filling.update(dict.fromkeys(request.fills, request.name))
        free_slots -= 1
    return decisions


def _away(device: Device, held: Set[str], occupied: Mapping[str, str]) -> str:
    """Why nobody can start on a device whatever its memory: lost, or not this sweep's to give; else empty."""
    if device.lost:
        return "lost"
    if device.id in held:
        return f"occupied by {occupied[device.id]}" if device.id in occupied else ""
    return f"reserved by {device.reserved}" if device.reserved else ""


def _full(device: Device, limit: int) -> str:
    # Rounded down: "9.0 of 9 GiB free" would be no reason to wait.
    text = f"{device.label} has {device.free * 10 // GIB / 10:.1f} of {limit / GIB:g} GiB free"
    return f"{text} ({device.note})" if device.note else text


def _count(devices: int) -> str:
    return "1 device" if devices == 1 else f"{devices} devices"
