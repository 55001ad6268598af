"""The plan of sweeps that nobody could print whole."""

from __future__ import annotations

from automate_train.config.layers import Layer, merge
from automate_train.preflight.plan import human
from automate_train.records import Source
from automate_train.sweep.product import Sweep, expand


def huge(**values: object) -> Sweep:
    lists = {f"k{axis}_list": list(range(10)) for axis in range(12)}
    layer = Layer(Source("tuning file"), {"project_name_base": "p", **lists, **values})
    return expand(merge([layer])[0].settings)


def test_a_plan_of_a_million_million_points_ends():
    lines = list(human(made := huge(), made.points(), set(), None))
    assert "  ... and more: 1000000000000 in all" in lines and len(lines) < 60
    dropped = list(human(made := huge(exclude=["k11 >= 0"]), made.points(), set(), None))
    assert "  none" in dropped and "  ... and more" in dropped


def test_with_commands_a_run_that_cannot_be_prepared_is_shown_too():
    lines = list(human(made := huge(), made.points(), set(), lambda run: None))
    assert "         cannot be prepared: see the errors" in lines and "1000000000000" in "".join(lines)
