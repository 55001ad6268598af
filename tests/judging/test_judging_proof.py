"""The proof of docs/judging.md in short: how often the verdicts on drawn sweeps are right. The bounds are the promised
figures plus what so few sweeps vary by (three standard errors)."""

from __future__ import annotations

import math

import pytest

from benchmarks.judging import Model, play

SWEEPS = 300


def error(share: float) -> float:
    return 3 * math.sqrt(share * (1 - share) / SWEEPS)


@pytest.mark.parametrize(
    "model",
    [Model(), Model(own_seeds=True), Model(setting_item=1.0), Model(items=2, setting_item=1.0)],
    ids=["shared seeds", "own seeds", "settings differ by picture", "two pictures"],
)
def test_sweeps_without_a_difference(model: Model):
    counts = play(model, SWEEPS)
    assert counts.false_better <= 0.05 + error(0.05)
    assert 0.93 < counts.covered < 0.97 and 0.93 < counts.means_covered < 0.975


def test_a_planted_difference_is_found_as_often_as_by_the_exact_test():
    counts = play(Model(planted=1.5), SWEEPS)
    assert 0.25 < counts.exact_alone < 0.5  # by the noncentral t: 0.38
    assert abs(counts.found_alone - counts.exact_alone) < 0.03 + 0.01
    assert abs(counts.found - counts.exact) < 0.03 + 0.01
