"""When a run is ended before it has ended itself.

Covers: the rules, each a pure function of what the run has told and of its options, and which of them holds. Not:
ending it (`loop.Loop._end_by_rules`), what the run leaves (`running_attempt`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from ..records import Outcome
from ..store.progress import Progress

NANS_IN_A_ROW = 3
"""Logged steps in a row whose loss is NaN, after which a run has diverged."""


class StopRule(Protocol):
    def __call__(self, progress: Progress, options: Mapping[str, object]) -> Outcome | None:
        """How the run has ended by this rule; None: it goes on. `options`: key -> value."""


def diverged(progress: Progress, options: Mapping[str, object]) -> Outcome | None:
    if progress.nan_in_a_row < NANS_IN_A_ROW or options.get("on_nan") == "ignore":
        return None
    reason = f"diverged: the loss was NaN {NANS_IN_A_ROW} logged steps in a row; lower the learning rate"
    return Outcome("failed", None, reason, "diverged")


RULES: tuple[StopRule, ...] = (diverged,)


def outcome_by_rules(progress: Progress, options: Mapping[str, object]) -> Outcome | None:
    """The outcome of the first rule that holds; None: the run goes on."""
    return next((outcome for rule in RULES if (outcome := rule(progress, options)) is not None), None)
