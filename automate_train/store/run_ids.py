"""The short ids of a sweep's runs: what a person types where an index may have come to mean another run.

Covers: giving them, and which words are ids. An id is the shortest beginning of the run's key, from 4 hex digits, that
no other run of the sweep has; a run keeps it. It holds a letter, or is the whole key, so that it is never an index.
Not: keeping them (`journal`, launch.json), finding a run by one (`sweep.choice`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

SHORTEST = 4
ID = re.compile(r"(?=[0-9]*[a-f]|[0-9]{16})[0-9a-f]{4,16}")


class RunIds:
    def __init__(self, given: Iterable[tuple[str, str]]) -> None:
        """`given`: (key, id) of the runs that are known; "" as the id of one that has none yet."""
        self._ids: dict[str, str] = {}
        self._taken: set[str] = set()
        without = []
        for key, id_ in given:
            if id_:
                self.keep(key, id_)
            else:
                without.append(key)
        for key in without:
            self.of(key)

    def of(self, key: str) -> str:
        """The run's id; it gets one if it has none."""
        if key not in self._ids:
            starts = (key[:length] for length in range(SHORTEST, len(key)))
            id_ = next((each for each in starts if each not in self._taken and not each.isdecimal()), key)
            self.keep(key, id_)
        return self._ids[key]

    def keep(self, key: str, id_: str) -> None:
        """Take over an id that was given before; not one that another run has, and not one of another key."""
        if id_ and key.startswith(id_) and key not in self._ids and id_ not in self._taken:
            self._ids[key] = id_
            self._taken.add(id_)
