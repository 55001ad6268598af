"""The proof of docs/judging.md in short: how often the verdicts on drawn sweeps are right. The bounds are the promised
figures plus three standard errors of these few sweeps."""

from __future__ import annotations

import math

import pytest

from benchmarks.judging import Model, exact_power, play

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


def test_a_planted_difference_is_found_nearly_as_often_as_by_the_exact_test():
    model = Model(planted=1.5)
    counts = play(model, SWEEPS)
    assert abs(counts.found_alone - exact_power(model)) < 0.03 + error(0.35)
