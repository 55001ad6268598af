"""Every point of the sweep, in its order.

Covers: skipping what runs or has succeeded. Not: the points (`selection`), trying a failed run again (`training`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ...records import Run
from ...store.history import RunHistory


class Grid:
    """`runs` are walked through once, as far as somebody asks: a sweep of a million points costs nothing. `after`: an
    attempt's id; what succeeded in that attempt or an earlier one is run again (`--rerun`)."""

    def __init__(self, runs: Iterable[Run], after: int = 0) -> None:
        self._runs: Iterator[Run] = iter(runs)
        self._after = after

    def propose(self, histories: Mapping[str, RunHistory]) -> Run | None:
        return next((run for run in self._runs if not self._is_done(histories.get(run.key))), None)

    def _is_done(self, history: RunHistory | None) -> bool:
        """Whether a run needs no attempt: it runs, or has succeeded."""
        if history is None or (newest := history.record.newest) is None:
            return False
        if newest.outcome is None:
            return True
        return newest.outcome.kind == "succeeded" and newest.id > self._after
