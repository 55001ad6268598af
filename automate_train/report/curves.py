"""Events -> curves of few points: every metric of an attempt against step and time.

Covers: folding `metrics` events, thinning that keeps each stretch's lowest and highest point, the lowest running
average. Pure. Not: reading events (`folder`), how curves are packed and drawn (`page`, `web/js/curves.js`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from ..records import Event

MOST = 600
"""Points of one curve in the page: about what its width can show."""
GROUPS = {"lr": "lr/", "other": ""}
"""Fields of an event that hold several metrics -> what their names begin with."""
NOT_METRICS = {"step", "epoch", "nan"}

Curve = list[list[float]]
"""`[steps, seconds since the first event, values]`, all of one length."""


@dataclass
class Told:
    """What an attempt's events tell."""

    curves: dict[str, Curve] = field(default_factory=dict)
    ends: dict[int, int] = field(default_factory=dict)
    """Epoch -> step of its last checkpoint."""
    best: float | None = None
    """Lowest running average (of the loss, where the trainer tells no average) after the first tenth: at the start an
    average is one lucky step."""
    nans: int = 0
    memory: float | None = None
    """Highest device memory that was told, bytes."""
    total: int | None = None
    """Steps of the whole training, once the trainer has told."""
    step: int | None = None


def read(events: Iterable[Event], most: int = MOST) -> Told:
    told = Told()
    raw: dict[str, Curve] = {}
    first: float | None = None
    for event in events:
        first = event.at if first is None else first
        if event.kind == "checkpoint":
            epoch, step = event.data.get("epoch"), event.data.get("step")
            if is_number(epoch) and is_number(step):
                told.ends[int(epoch)] = int(step)
        elif event.kind == "training" and is_number(total := event.data.get("total_steps")):
            told.total = int(total)
        elif event.kind == "metrics" and is_number(step := event.data.get("step")):
            told.step = int(step)
            told.nans += event.data.get("nan") is True
            for name, value in _metrics(event.data):
                points = raw.setdefault(name, [[], [], []])
                for column, number in zip(points, (int(step), round(event.at - first, 1), _short(value)), strict=True):
                    column.append(number)
    told.curves = {name: thin(points, most) for name, points in raw.items()}
    told.best = _best(raw)
    memory = [max(points[2]) for name, points in raw.items() if "memory" in name]
    told.memory = max(memory, default=None)
    return told


def _metrics(data: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for name, value in data.items():
        if name in GROUPS and isinstance(value, Mapping):
            yield from ((GROUPS[name] + str(each), float(v)) for each, v in value.items() if is_number(v))
        elif name not in NOT_METRICS and is_number(value):
            yield name, float(value)


def is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _short(value: float) -> float:
    return float(f"{value:.5g}")


def _best(raw: Mapping[str, Curve]) -> float | None:
    values = raw["average"][2] if "average" in raw else raw["loss"][2] if "loss" in raw else []
    return min(values[len(values) // 10 :], default=None)


def thin(points: Curve, most: int = MOST) -> Curve:
    """At most `most` points: first and last, and of each stretch between them its lowest and highest, in their order.
    What lies on a straight line (a constant rate) becomes its ends first."""
    kept = _corners(points[0], points[2])
    if len(kept) > most:
        inner, stretches = kept[1:-1], max(1, (most - 2) // 2)
        chosen = {kept[0], kept[-1]}
        for at in range(stretches):
            part = inner[at * len(inner) // stretches : (at + 1) * len(inner) // stretches]
            chosen.update((min(part, key=points[2].__getitem__), max(part, key=points[2].__getitem__)))
        kept = sorted(chosen)
    return [[column[at] for at in kept] for column in points]


def _corners(xs: list[float], ys: list[float]) -> list[int]:
    """Indexes without the inner points of straight stretches."""
    kept: list[int] = []
    for at in range(len(ys)):
        if len(kept) > 1:
            a, b = kept[-2], kept[-1]
            bend = (ys[b] - ys[a]) * (xs[at] - xs[b]) - (ys[at] - ys[b]) * (xs[b] - xs[a])
            if abs(bend) <= 1e-9 * max(abs(ys[a]), abs(ys[b]), abs(ys[at])) * max(1.0, xs[at] - xs[a]):
                kept.pop()
        kept.append(at)
    return kept
