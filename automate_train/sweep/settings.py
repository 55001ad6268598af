"""Replicates together: the runs of each setting, and the mean and range of a number over them.

Covers: grouping, and the numbers that describe a group. Pure. Not: whether a difference between settings is more than
chance (`judging`).
"""

from __future__ import annotations

from collections.abc import Iterable
from math import fsum, isfinite
from typing import NamedTuple

from ..records import RunRecord


class Spread(NamedTuple):
    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.4g}" + (f" ({self.low:.4g} to {self.high:.4g})" if self.low < self.high else "")


def by_setting(runs: Iterable[RunRecord]) -> dict[str, list[RunRecord]]:
    """Setting's name -> its runs; the settings in the order of their first runs."""
    found: dict[str, list[RunRecord]] = {}
    for run in runs:
        found.setdefault(run.setting_name, []).append(run)
    return found


def spread(values: Iterable[float | None]) -> Spread | None:
    """Of the values that are known and finite; None where there is none."""
    known = [value for value in values if value is not None and isfinite(value)]
    return Spread(fsum(known) / len(known), min(known), max(known)) if known else None
