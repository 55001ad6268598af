"""Which waiting run starts now, on which devices, and why the others wait.

Covers: one pure function, `decide`; GPUs, memory limit, shared caches, fairness to multi-GPU runs, stop on first
failure.
Not: reading devices (`gpus`), starting anything (`scheduler`, `executors/*`). Nothing is remembered from one call to
the next: devices are derived from the running attempts every time, so none can be forgotten.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..records import GIB, Device


@dataclass(frozen=True)
class Want:
    """What a waiting run asks for."""

    key: str
    gpus: int
    devices: tuple[str, ...] = ()
    """Exactly these, when the sweep is not distributed; else any of the policy's."""
    fills: frozenset[str] = frozenset()
    """Shared caches that are not filled yet and that this run would fill."""


@dataclass(frozen=True)
class Held:
    """What a running attempt holds."""

    name: str
    devices: frozenset[str] = frozenset()
    fills: frozenset[str] = frozenset()
    occupied: str = ""
    """It has ended, and this of it holds its devices: `pid 1234 of run 3, which has ended`. It takes no slot."""


@dataclass(frozen=True)
class Policy:
    slots: int = 1
    """Runs at a time at most."""
    devices: tuple[str, ...] = ()
    """The pool; empty on a machine without GPUs."""
    limit: int = 0
    """Bytes that must be free on a device."""
    halted: bool = False
    """A run failed, or a person asked: nothing starts any more."""


@dataclass(frozen=True)
class Start:
    key: str
    devices: tuple[str, ...]


@dataclass(frozen=True)
class Wait:
    key: str
    why: str
    watch: bool = False
    """The reason lies outside our runs (another program's memory): no event tells when it passes, so look again."""


def decide(
    waiting: Sequence[Want], running: Sequence[Held], devices: Sequence[Device], policy: Policy
) -> list[Start | Wait]:
    """One decision for each waiting run that was looked at, in their order.

    Runs start in order. A run that cannot start for want of devices lets nobody pass, so that single-GPU runs never
    starve a multi-GPU one; a run that only waits for a shared cache, or for more devices than are alive, is passed.
    """
    if policy.halted:
        return []
    held = {device for each in running for device in each.devices}
    filling = {cache: each.name for each in running for cache in each.fills}
    occupied = {device: each.occupied for each in running if each.occupied for device in each.devices}
    free_slots = policy.slots - sum(not each.occupied for each in running)
    decisions: list[Start | Wait] = []
    for want in waiting:
        if free_slots <= 0:
            break
        if busy := sorted(want.fills & filling.keys()):
            decisions.append(Wait(want.key, f"{filling[busy[0]]} is filling the latents cache that this run shares"))
            continue
        pool = [device for device in devices if device.id in (want.devices or policy.devices)]
        alive = [device for device in pool if not device.lost]
        if len(alive) < want.gpus:
            gone = ", ".join(device.label for device in pool if device.lost) or "none listed"
            decisions.append(Wait(want.key, f"needs {_count(want.gpus)}, {len(alive)} alive (lost: {gone})", True))
            continue
        idle = [device for device in alive if device.id not in held]
        fit = [device for device in idle if device.free >= policy.limit]
        if len(fit) < want.gpus:
            full = [device for device in idle if device.free < policy.limit]
            why = _why(want, full, len(fit), policy.limit)
            lost = {device.id: "lost" for device in pool if device.lost}
            away = {**lost, **{device: f"occupied by {who}" for device, who in occupied.items()}}
            why += "".join(f"; {device.label} is {away[device.id]}" for device in pool if device.id in away)
            decisions.append(Wait(want.key, why, bool(full or away)))
            break
        # Most free memory first; the listed order decides between equals.
        chosen = tuple(device.id for device in sorted(fit, key=lambda device: -device.free)[: want.gpus])
        decisions.append(Start(want.key, want.devices or chosen))
        held.update(chosen)
        filling.update(dict.fromkeys(want.fills, f"run {want.key}"))
        free_slots -= 1
    return decisions


def _why(want: Want, full: Sequence[Device], fit: int, limit: int) -> str:
    if full:
        return "; ".join(
            # Rounded down: "9.0 of 9 GiB free" would be no reason to wait.
            f"{device.label} has {device.free * 10 // GIB / 10:.1f} of {limit / GIB:g} GiB free"
            + (f" ({device.note})" if device.note else "")
            for device in full
        )
    return f"needs {want.gpus} devices at once, {fit} free" if want.gpus > 1 else "all devices are taken by other runs"


def _count(devices: int) -> str:
    return "1 device" if devices == 1 else f"{devices} devices"
