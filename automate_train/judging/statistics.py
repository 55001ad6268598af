"""Which setting is better, and how sure that is: verdicts on a table of scores by setting, seed and item.

Covers: `compare`, pure and deterministic, and how estimates become verdicts. Not: the intervals' method
(`judging/variance`), marginal effects and epochs (`judging/effects`), words for people (`judging/answer`).
docs/judging.md says why, with the proof.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Literal, NamedTuple

import numpy as np
from scipy import sparse

from .variance import Array, Estimates, Table, contrasts, means, table_of
from .variance import Row as Row

Verdict = Literal["better", "worse", "inside the noise", "too few seeds to say"]
TOO_FEW: Verdict = "too few seeds to say"
LEVEL = 0.05
"""How often any *better* or *worse* of a whole comparison may be wrong, where no setting differs."""
MOST_SETTINGS = 1000
"""Half a million pairs."""


class Pair(NamedTuple):
    a: str
    b: str
    difference: float
    """Mean of a - mean of b, over the items that all runs have."""
    low: float | None
    """The 95 % interval of this difference alone; None where a or b has one seed."""
    high: float | None
    verdict: Verdict
    """Whether a is better than b, with all pairs taken into account (Holm): an interval may exclude zero where the
    verdict is `inside the noise`."""


class SettingScore(NamedTuple):
    setting: str
    mean: float
    low: float | None
    """The 95 % interval of the mean over all seeds, on these items; None where the setting has one seed."""
    high: float | None
    seeds: int
    items: int
    """How many all runs have in common."""


class Comparison(NamedTuple):
    pairs: tuple[Pair, ...]
    best: tuple[str, ...]
    """The settings that cannot be told from the best: no other is better. The best mean first."""
    settings: tuple[SettingScore, ...]
    """In the order of the rows, as the pairs are."""


def compare(rows: Iterable[Row], *, higher: bool = False) -> Comparison:
    """`higher`: a higher score is better. Raises `ValueError` with a sentence for rows that cannot be compared."""
    table = table_of(rows)
    count = len(table.settings)
    if count > MOST_SETTINGS:
        raise ValueError(f"there are {count} settings, and at most {MOST_SETTINGS} can be compared")
    several = [at for at, scores in enumerate(table.scores) if len(scores) > 1]
    replicated = table.only(several)
    known_pairs: dict[tuple[int, int], Pair] = {}
    if len(several) > 1:
        found = contrasts(replicated, difference_weights(sparse.eye_array(len(several), format="csr")))
        known_pairs.update(zip(combinations(several, 2), judged(replicated.settings, found, higher), strict=True))
    pairs = (known_pairs.get(both) or _unknown_pair(table, *both) for both in combinations(range(count), 2))
    settings = [SettingScore(name, float(scores.mean() * table.scale), None, None, len(scores), len(table.items))
                for name, scores in zip(table.settings, table.scores, strict=True)]  # fmt: skip
    if several:
        known = means(replicated, sparse.eye_array(len(several), format="csr"))
        for at, low, high in zip(several, known.low, known.high, strict=True):
            settings[at] = settings[at]._replace(low=float(low), high=float(high))
    return comparison_of(tuple(pairs), tuple(settings), higher)


def comparison_of(pairs: tuple[Pair, ...], settings: tuple[SettingScore, ...], higher: bool) -> Comparison:
    beaten = {pair.b if pair.verdict == "better" else pair.a for pair in pairs if pair.verdict in ("better", "worse")}
    ranked = sorted(settings, key=lambda each: -each.mean if higher else each.mean)
    return Comparison(pairs, tuple(each.setting for each in ranked if each.setting not in beaten), settings)


def judged(names: Sequence[str], found: Estimates, higher: bool) -> list[Pair]:
    """`found`: one difference a pair of names, as `difference_weights` orders them."""
    pairs = []
    differs = holm(found.p) < LEVEL
    for at, (a, b) in enumerate(combinations(names, 2)):
        difference = float(found.value[at])
        verdict: Verdict = "inside the noise"
        if differs[at]:
            verdict = "better" if (difference > 0) == higher else "worse"
        pairs.append(Pair(a, b, difference, float(found.low[at]), float(found.high[at]), verdict))
    return pairs


def difference_weights(weights: sparse.csr_array) -> sparse.csr_array:
    """The difference of each pair of rows of `weights`, in the order of `combinations`."""
    first, second = np.triu_indices(weights.shape[0], 1)
    return sparse.csr_array(weights[first] - weights[second])


def holm(p: Array) -> Array:
    """p values corrected for their number: S. Holm, A simple sequentially rejective multiple test procedure (1979)."""
    order = np.argsort(p, kind="stable")
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(1, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return corrected


def _unknown_pair(table: Table, a: int, b: int) -> Pair:
    difference = float((table.scores[a].mean() - table.scores[b].mean()) * table.scale)
    return Pair(table.settings[a], table.settings[b], difference, None, None, TOO_FEW)
