"""The plan of sweeps that nobody could print whole."""

from __future__ import annotations

from automate_train.config.layers import Layer, merge
from automate_train.config.masking import Masker
from automate_train.preflight.plan import human
from automate_train.records import Source, SweepContext
from automate_train.sweep.product import Sweep, expand
from automate_train.sweep.selection import select


def huge(**values: object) -> Sweep:
    lists = {f"k{axis}_list": list(range(10)) for axis in range(12)}
    layer = Layer(Source("tuning file"), {"project_name_base": "p", **lists, **values})
    return expand(merge([layer])[0])


def lines_of(sweep: Sweep, *, commands: bool = False) -> list[str]:
    return list(
        human(SweepContext("/nowhere", "p"), select(sweep, None, None, set()), set(), Masker(), commands=commands)
    )


def test_a_plan_of_a_million_million_points_ends():
    lines = lines_of(huge())
    assert "  ... and more: 1000000000000 in all" in lines and len(lines) < 60
    dropped = lines_of(huge(exclude=["k11 >= 0"]))
    assert "  none" in dropped and "  ... and more" in dropped


def test_with_commands_a_run_that_cannot_be_prepared_is_shown_too():
    lines = lines_of(huge(trainer="command"), commands=True)
    assert "         cannot be prepared: see the errors" in lines and "1000000000000" in "".join(lines)
