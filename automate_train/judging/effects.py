"""What each key does on average over the other keys, and at which epoch a setting is best.

Covers: `marginal_effects` of a complete product, `best_epoch`; both with the caution of `compare`. Not: the method
(`judging/variance`), where the scores come from, words for people (`judging/answer`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import prod
from typing import NamedTuple

import numpy as np
from scipy import sparse

from .statistics import Comparison, SettingScore, compare, comparison_of, difference_weights, judged
from .variance import Row, contrasts, means, table_of


class Effect(NamedTuple):
    key: str
    values: Comparison
    """Of the key's values, named `key=value`, each the mean over all settings that have it; a value's `seeds` are
    those of the setting with the fewest."""


class EpochRow(NamedTuple):
    epoch: int
    seed: str
    item: str
    score: float


class BestEpoch(NamedTuple):
    epoch: int
    """The one with the best mean."""
    tied: tuple[int, ...]
    """All that cannot be told from it, in ascending order, it included: the first is the shortest training that is not
    known to be worse."""
    is_last: bool
    """The last epoch, and no other, is best: a longer training may be better still."""
    epochs: Comparison
    """Of all epochs that every run has, named by their numbers."""


def marginal_effects(
    rows: Iterable[Row], points: Mapping[str, Mapping[str, str]], *, higher: bool = False
) -> tuple[Effect, ...]:
    """One for each key with more than one value; `points`: setting -> its key -> value.

    Empty where a mean over the other keys would compare different things: some points of the product are missing, or
    some have one seed; and where only one key varies, whose values are the settings. Raises `ValueError` as `compare`.
    """
    table = table_of(rows)
    values: dict[str, dict[str, list[int]]] = {}
    for at, setting in enumerate(table.settings):
        for key, value in points[setting].items():
            values.setdefault(key, {}).setdefault(value, []).append(at)
    varied = {key: places for key, places in values.items() if len(places) > 1}
    count = len(table.settings)
    complete = prod(len(places) for places in varied.values()) == count == len({*map(_frozen, points.values())})
    if len(varied) < 2 or not complete or any(len(scores) < 2 for scores in table.scores):
        return ()
    effects = []
    for key, places in varied.items():
        weights = np.zeros((len(places), count))
        for row, settings in zip(weights, places.values(), strict=True):
            row[settings] = 1 / len(settings)
        names = [f"{key}={value}" for value in places]
        of_settings = sparse.csr_array(weights)
        pairs = judged(names, contrasts(table, difference_weights(of_settings)), higher)
        found = means(table, of_settings)
        seeds = (min(len(table.scores[at]) for at in settings) for settings in places.values())
        scores = (SettingScore(name, float(mean), float(low), float(high), fewest, len(table.items))
                  for name, mean, low, high, fewest in
                  zip(names, found.value, found.low, found.high, seeds, strict=True))  # fmt: skip
        effects.append(Effect(key, comparison_of(tuple(pairs), tuple(scores), higher)))
    return tuple(effects)


def _frozen(point: Mapping[str, str]) -> frozenset[tuple[str, str]]:
    return frozenset(point.items())


def best_epoch(rows: Iterable[EpochRow], *, higher: bool = False) -> BestEpoch | None:
    """Of the checkpoints of one setting; None where its runs have no epoch in common. Raises `ValueError` as `compare`.

    With several seeds the answer is about the setting; with one it is about this run, and the items alone are the
    units of chance.
    """
    rows = list(rows)
    of_seed: dict[str, set[int]] = {}
    for row in rows:
        of_seed.setdefault(row.seed, set()).add(row.epoch)
    common = set.intersection(*of_seed.values()) if of_seed else set()
    if not common:
        return None
    one = len(of_seed) == 1
    units = [Row(str(row.epoch), row.item if one else row.seed, "" if one else row.item, row.score)
             for row in sorted(rows) if row.epoch in common]  # fmt: skip
    if one:
        units = _of_items_of_all(units, len(common))
    found = compare(units, higher=higher)
    tied = tuple(sorted(map(int, found.best)))
    return BestEpoch(int(found.best[0]), tied, len(common) > 1 and tied == (max(common),), found)


def _of_items_of_all(rows: list[Row], epochs: int) -> list[Row]:
    """Only the items (here in the seed's place) that every epoch has, as `compare` does it for items."""
    counts: dict[str, int] = {}
    for row in rows:
        counts[row.seed] = counts.get(row.seed, 0) + 1
    return [row for row in rows if counts[row.seed] == epochs]
