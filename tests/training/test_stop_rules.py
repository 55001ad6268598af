"""When a run is ended early; what every rule must do."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from typing import Any

import pytest

from automate_train.records import Event
from automate_train.store.progress import Progress, after
from automate_train.trainers import failure_causes
from automate_train.training.stop_rules import NANS_IN_A_ROW, RULES, outcome_by_rules


def told(losses: Iterable[float | None]) -> Progress:
    """After these losses; None is NaN, as the hook tells it."""
    events: list[dict[str, Any]] = [{"nan": True} if loss is None else {"loss": loss} for loss in losses]
    return reduce(after, (Event(float(step), "metrics", {"step": step, **each}) for step, each in enumerate(events)),
                  Progress())  # fmt: skip


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_says_nothing_of_a_run_that_is_well_or_has_not_begun(rule):
    for progress in (Progress(), told([0.1] * 50), told([1e9, 1e-9, 0.0])):
        assert rule(progress, {}) is None


@pytest.mark.parametrize("rule", RULES)
def test_what_a_rule_says_is_an_outcome_with_a_reason_and_is_the_same_each_time(rule):
    progress = told([0.1, *[None] * 100])
    outcome = rule(progress, {})
    if outcome is not None:
        assert outcome == rule(progress, {}) and outcome.kind in ("failed", "cancelled") and outcome.reason
        assert outcome.exit_code is None


def test_some_nans_in_a_row_are_a_divergence():
    assert outcome_by_rules(told([0.1, *[None] * (NANS_IN_A_ROW - 1)]), {}) is None
    outcome = outcome_by_rules(told([0.1, *[None] * NANS_IN_A_ROW]), {"on_nan": "stop"})
    assert outcome and outcome.reason == ("diverged: the loss was NaN 3 logged steps in a row; lower the learning rate")
    assert outcome_by_rules(told([*[None] * (NANS_IN_A_ROW - 1), 0.1, *[None] * (NANS_IN_A_ROW - 1)]), {}) is None


def test_on_nan_ignore_lets_it_go_on():
    assert outcome_by_rules(told([None] * 100), {"on_nan": "ignore"}) is None


def test_a_run_that_diverged_is_not_tried_again_by_itself():
    outcome = outcome_by_rules(told([None] * 3), {})
    assert outcome and not failure_causes.by_name(outcome.cause).passes_by_itself
