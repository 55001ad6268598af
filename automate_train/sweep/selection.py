"""The points of a sweep that one command is about.

Covers: index ranges, a first index, what is done already. Not: the sweep (`product`), which point is next
(`strategies`), what starts when (`training/placement`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from typing import NamedTuple

from ..errors import UserError
from ..records import Dropped, Run
from .product import Sweep

COUNTABLE = 20_000
"""Points up to which counting what is left takes no time that a person notices."""
EVERY_RUN = 512
"""Sweeps up to this size are checked run by run; larger ones so that every value of every axis is seen once."""


class Selection(NamedTuple):
    sweep: Sweep
    ranges: tuple[range, ...]
    """Of indexes: ascending, and none overlaps another."""
    done: Set[str]
    """Keys of runs that are not to be run again."""

    def chosen(self) -> Iterator[Run | Dropped]:
        return (self.sweep.point(index) for each in self.ranges for index in each)

    def todo(self) -> Iterator[Run]:
        """Runs that are not done; those of `chosen` without dropped points."""
        return (point for point in self.chosen() if isinstance(point, Run) and point.key not in self.done)

    def left(self) -> int | None:
        """How many are to do; None when counting them would take long."""
        return sum(1 for _ in self.todo()) if self.sweep.size <= COUNTABLE else None

    def known_done(self) -> int:
        if self.sweep.size > COUNTABLE:
            return 0
        return sum(1 for point in self.chosen() if isinstance(point, Run) and point.key in self.done)

    @property
    def is_large(self) -> bool:
        return self.sweep.size > EVERY_RUN

    def examples(self) -> Iterator[Run]:
        """Every run that is to do of a small sweep; of a large one as many as it takes to see every value."""
        return self.sweep.covering() if self.is_large else self.todo()


def select(sweep: Sweep, only: Sequence[range] | None, first: int | None, done: Set[str]) -> Selection:
    """The points in the ranges `only` (None: all) from the index `first` on; `UserError` for an index that the sweep
    does not have."""
    begin = first or 0
    given = [range(begin, sweep.size)] if only is None else sorted(only, key=lambda each: each.start)
    ranges = []
    for each in given:
        if each.start >= sweep.size or each.stop > sweep.size:
            flag = "--skip_to_index" if only is None else "--only"
            raise UserError(f"the sweep has the indexes 0 to {sweep.size - 1}", source="command line", key=flag)
        if rest := range(max(begin, each.start), each.stop):
            ranges.append(rest)
        begin = max(begin, each.stop)
    return Selection(sweep, tuple(ranges), done)
