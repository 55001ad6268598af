"""Curves of few points."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from automate_train.records import Event
from automate_train.store.curves import Curves, thin


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=400), st.integers(4, 60))
def test_thinning_keeps_ends_and_extremes(values: list[float], most: int):
    steps: list[float] = [float(step) for step in range(len(values))]
    xs, _, ys = thin([steps, steps, values], most)
    assert len(xs) <= most and xs == sorted(set(xs))
    assert (ys[0], ys[-1]) == (values[0], values[-1]) and all(values[int(x)] == y for x, y in zip(xs, ys, strict=True))
    if len(values) <= most:
        assert (max(ys), min(ys)) == (max(values), min(values))


def test_a_straight_line_becomes_its_ends():
    curves = Curves()
    for step in range(1000):
        curves.add(Event(float(step), "metrics", {"step": step, "lr": {"unet": 1e-4}}), float(step))
    assert curves.thinned()["lr/unet"] == [[0, 999], [0.0, 999.0], [1e-4, 1e-4]]
