"""Curves of few points: every metric of a run against its steps and its time.

Covers: collecting points, cutting off what a later attempt trains again, thinning that keeps each stretch's lowest and
highest point. Pure. Not: which events are folded (`history`), how curves are packed and drawn (`report`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..records import Event
from .files import is_number

MOST = 600
"""Points of one curve in the page: about what its width can show."""
GROUPS = {"lr": "lr/", "other": ""}
"""Fields of an event that hold several metrics -> what their names begin with."""
NOT_METRICS = {"step", "epoch", "nan", "epoch_nan_steps"}

Curve = list[list[float]]
"""`[steps, seconds since the run began to train, values]`, all of one length."""


class Curves:
    """The points of all metrics as they are reported."""

    def __init__(self) -> None:
        self.points: dict[str, Curve] = {}
        self.nan_steps: list[int] = []
        """The steps that were reported with a loss that is NaN or infinite."""

    def add(self, event: Event, seconds: float) -> None:
        """The points of a `metrics` event."""
        step = event.data.get("step")
        if step is None:
            return
        if event.data.get("nan") is True:
            self.nan_steps.append(step)
        for name, value in _metrics(event.data):
            steps, times, values = self.points.setdefault(name, [[], [], []])
            steps.append(step)
            times.append(round(seconds, 1))
            values.append(float(f"{value:.5g}"))

    def go_on(self, step: int, later: Curves) -> None:
        """Put `later` in place of what was reported after a step."""
        self.nan_steps = [each for each in self.nan_steps if each <= step] + later.nan_steps
        for name, points in list(self.points.items()):
            kept = [at for at, reported in enumerate(points[0]) if reported <= step]
            self.points[name] = [[column[at] for at in kept] for column in points]
        seconds = max((points[1][-1] for points in self.points.values() if points[1]), default=0.0)
        for name, (steps, times, values) in later.points.items():
            points = self.points.setdefault(name, [[], [], []])
            points[0] += steps
            points[1] += [round(seconds + time, 1) for time in times]
            points[2] += values
        self.points = {name: points for name, points in self.points.items() if points[0]}

    def thinned(self, most: int = MOST) -> dict[str, Curve]:
        return {name: thin(points, most) for name, points in self.points.items()}

    def memory(self) -> float | None:
        """Highest device memory that was reported, bytes."""
        return max((max(points[2]) for name, points in self.points.items() if "memory" in name), default=None)


def _metrics(data: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for name, value in data.items():
        if name in GROUPS and isinstance(value, Mapping):
            yield from ((GROUPS[name] + str(each), float(v)) for each, v in value.items() if is_number(v))
        elif name not in NOT_METRICS and is_number(value):
            yield name, float(value)


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
