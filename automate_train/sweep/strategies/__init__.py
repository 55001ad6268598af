"""Which run of a sweep is next: one module a strategy.

Covers: the contract; `tests/sweep/test_strategy_contract.py` runs against every strategy there is. A strategy is asked
(`propose`) and never told: what it learns from is in the store, so after a kill it is made again and goes on.
Not: which runs may start now, and where (`training/placement`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from ...records import Run
from ...store.history import RunHistory


class Strategy(Protocol):
    def propose(self, histories: Mapping[str, RunHistory]) -> Run | None:
        """The next run to start; None: none until another run has ended, and none at all when no run is left that could
        end. `histories`: run key -> what the store knows of each run that has begun; reading one takes time, so ask for
        those that matter. A run is proposed once, unless the strategy is made again."""
