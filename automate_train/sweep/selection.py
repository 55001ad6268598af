"""The points of a sweep that one command is about.

Covers: `--only`, `--skip_to_index`, `--rerun` and what has succeeded before. Not: the sweep (`sweep`), what starts when
(`placement`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..cli.parser import indexes, number
from ..config.sampling_options import on_webui, sampler_environment
from ..errors import UserError
from ..records import Dropped, Run
from .product import Sweep

COUNTABLE = 20_000
"""Points up to which counting what is left takes no time that a person notices."""


class Points:
    """The points that this command is about: all of the sweep, or those that --only and --skip_to_index leave."""

    def __init__(self, sweep: Sweep, flags: Any, done: set[str]) -> None:
        first = number("--skip_to_index", flags.skip_to_index) if flags.skip_to_index is not None else 0
        ranges = indexes("--only", flags.only) if flags.only is not None else [range(first, sweep.size)]
        for each in ranges:
            if each.start >= sweep.size or each.stop > sweep.size:
                flag = "--only" if flags.only is not None else "--skip_to_index"
                raise UserError(f"the sweep has the indexes 0 to {sweep.size - 1}", source="command line", key=flag)
        self.sweep, self.ranges, self.first = sweep, ranges, first
        self.done = set() if flags.rerun else done

    def chosen(self) -> Iterator[Run | Dropped]:
        seen = self.first
        for each in self.ranges:
            for index in range(max(seen, each.start), each.stop):
                yield self.sweep.point(index)
            seen = max(seen, each.stop)

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

    def webui(self) -> dict[str, str] | None:
        """The sampler's secrets by their environment variables; None when no run is sampled on a WebUI."""
        for run in self.sweep.covering():
            options = {key: option.value for key, option in run.options.items()}
            if on_webui(options):
                return sampler_environment(options)
        return None
