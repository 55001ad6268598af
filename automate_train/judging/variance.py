"""How far the difference between settings is known: variance components of a table of settings, seeds and items.

Covers: the table, the noise of the seeds and of the items, the interval of any contrast of settings. Not: verdicts
(`judging/statistics`), where the scores come from. The method and its proof are in docs/judging.md.

The score of setting i, seed s, item k is taken as

    mean + setting_i + item_k + (setting x item)_ik + seed_is + (seed x item)_isk,

each part but the setting's a draw: the next picture and the next seed are other ones. Where all settings were trained
with the same seeds, what a seed does to all of them alike is taken off first.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse, special, stats

Array = NDArray[np.float64]


class Row(NamedTuple):
    setting: str
    seed: str
    item: str
    score: float


class Table(NamedTuple):
    """Scores of every run for every item that all runs have."""

    settings: tuple[str, ...]
    """In the order of the rows."""
    items: tuple[str, ...]
    scores: tuple[Array, ...]
    """One a setting: seeds x items, in units of `scale`."""
    scale: float
    shared_seeds: bool
    """Every setting was trained with the same seeds."""

    def only(self, settings: Iterable[int]) -> Table:
        kept = tuple(settings)
        return self._replace(
            settings=tuple(self.settings[i] for i in kept), scores=tuple(self.scores[i] for i in kept)
        )  # fmt: skip


class Estimates(NamedTuple):
    """One a contrast, in the unit of the scores."""

    value: Array
    low: Array
    high: Array
    p: Array
    """Two-sided, of a value of zero; not corrected for the number of contrasts."""


def table_of(rows: Iterable[Row]) -> Table:
    """Raises `ValueError` with a sentence: no rows, a score that is not finite, a duplicate, no item in common."""
    runs: dict[str, dict[str, dict[str, float]]] = {}
    for setting, seed, item, score in rows:
        if not np.isfinite(score):
            raise ValueError(f"the score of setting {setting!r}, seed {seed!r}, item {item!r} is {score}, not a number")
        scores = runs.setdefault(setting, {}).setdefault(seed, {})
        if item in scores:
            raise ValueError(f"setting {setting!r}, seed {seed!r}, item {item!r} has more than one score")
        scores[item] = float(score)
    if not runs:
        raise ValueError("there are no scores")
    items = sorted(set.intersection(*(set(scores) for seeds in runs.values() for scores in seeds.values())))
    if not items:
        raise ValueError("no item has a score in every run (a setting with a seed), so nothing can be compared")
    scale = max(abs(scores[item]) for seeds in runs.values() for scores in seeds.values() for item in items) or 1.0
    arrays = (np.array([[seeds[seed][item] / scale for item in items] for seed in sorted(seeds)])
              for seeds in runs.values())  # fmt: skip
    kept = tuple(_without_copies(array) for array in arrays)
    replicated = [set(seeds) for seeds, array in zip(runs.values(), kept, strict=True) if len(array) > 1]
    shared = all(seeds == replicated[0] for seeds in replicated)
    return Table(tuple(runs), tuple(items), kept, scale, shared)


def _without_copies(scores: Array) -> Array:
    """One run where all runs of a setting are equal: a trainer that ignores its seed has made no replicates."""
    return scores[:1] if (scores == scores[0]).all() else scores


def contrasts(table: Table, weights: sparse.csr_array) -> Estimates:
    """The 95 % intervals of weighted sums of the settings' means; `weights`: contrasts x settings, each row of sum 0.

    Every setting of `table` needs two seeds. The variance is that of the seeds plus what the items add to it; the
    degrees of freedom are Satterthwaite's.
    """
    seeds, by_item = _counts(table), np.array([each.mean(0) for each in table.scores])
    count, items = by_item.shape
    shared = table.shared_seeds and count > 1
    kept = (count - 1) / count if shared else 1.0  # of the degrees of freedom, when the seeds' means are taken off
    noise = tuple(each - np.mean(table.scores, axis=0) for each in table.scores) if shared else table.scores

    total = float((seeds - 1).sum() * kept)
    squares = weights.multiply(weights)
    variances, freedoms = moderate(_seed_variances(noise) / kept, (seeds - 1) * kept, total)
    variance, freedom = _sum_of(variances / seeds, freedoms, squares, total)
    if items > 1:
        of_items, items_freedom, residual, residual_freedom = _item_parts(noise, kept, weights, by_item)
        of_residual = residual * (squares @ (1 / seeds)) / items
        added = of_items - of_residual
        parts = variance**2 / freedom + of_items**2 / items_freedom + of_residual**2 / residual_freedom
        freedom = np.where(added > 0, _ratio((variance + added) ** 2, parts), freedom)
        variance = variance + np.maximum(added, 0)
    return _estimates(weights @ by_item.mean(1), variance, freedom, table.scale)


def means(table: Table, weights: sparse.csr_array) -> Estimates:
    """Weighted means of settings on these items, with the interval of the same over all seeds; the rows of `weights`
    have the sum 1.

    What the items add is left out: they are the same for all settings, so that they say nothing about them.
    """
    seeds = _counts(table)
    if table.shared_seeds:  # what a seed does to all settings alike is part of their mean
        runs = weights @ np.array([each.mean(1) for each in table.scores])
        variances, freedom = moderate(runs.var(axis=1, ddof=1), np.full(len(runs), seeds[0] - 1), _total_freedom(runs))
        variance = variances / seeds[0]
    else:
        variances, freedoms = moderate(_seed_variances(table.scores), seeds - 1, (seeds - 1).sum())
        variance, freedom = _sum_of(variances / seeds, freedoms, weights.multiply(weights), float((seeds - 1).sum()))
    value = weights @ np.array([each.mean() for each in table.scores])
    return _estimates(value, variance, freedom, table.scale)


def moderate(variances: Array, freedom: Array, total: float) -> tuple[Array, Array]:
    """Variances drawn towards their common mean, and their degrees of freedom, `total` at most.

    With three seeds each variance alone is hardly known, but settings differ little in it, and how little is estimated
    as well: G. K. Smyth, Linear models and empirical Bayes methods (2004), section 6.2. Where the variances differ no
    more than by chance the result is their mean, as in an analysis of variance.
    """
    mean = float((variances * freedom).sum() / freedom.sum())
    prior = _prior_freedom(variances / mean, freedom) if mean > 0 else np.inf
    if np.isinf(prior):
        return np.full_like(variances, mean), np.full_like(variances, total)
    return (prior * mean + freedom * variances) / (prior + freedom), np.minimum(prior + freedom, total)


def _prior_freedom(variances: Array, freedom: Array) -> float:
    """How many degrees of freedom the common mean is worth; infinite where the variances differ by chance alone."""
    if len(variances) < 2:
        return 0.0
    logs = np.log(np.maximum(variances, 1e-5)) - special.digamma(freedom / 2) + np.log(freedom / 2)
    spread = float(np.var(logs, ddof=1) - special.polygamma(1, freedom / 2).mean())
    if spread < 1e-6:
        return np.inf
    half = 0.5 + 1 / spread  # Newton's steps to trigamma(half) = spread, which converge from this side
    for _ in range(50):
        trigamma = special.polygamma(1, half)
        half += trigamma * (1 - trigamma / spread) / special.polygamma(2, half)
    return 2 * float(half)


def _counts(table: Table) -> Array:
    """How many seeds each setting has."""
    return np.array([len(each) for each in table.scores], float)


def _seed_variances(scores: Iterable[Array]) -> Array:
    """Of the runs' means over the items."""
    return np.array([each.mean(1).var(ddof=1) for each in scores])


def _total_freedom(runs: Array) -> float:
    """Degrees of freedom of the mean of the rows' variances (rows x seeds): fewer the more the rows move together."""
    count, seeds = runs.shape
    together = count * runs.mean(0).var(ddof=1)
    apart = float((runs - runs.mean(1, keepdims=True) - runs.mean(0) + runs.mean()).var() * runs.size) / (seeds - 1)
    below = together**2 + apart**2 / max(count - 1, 1)
    return float((seeds - 1) * (together + apart) ** 2 / below) if below > 0 else float(seeds - 1)


def _sum_of(parts: Array, freedoms: Array, squares: sparse.csr_array, total: float) -> tuple[Array, Array]:
    """The variance of each weighted sum and its degrees of freedom (Satterthwaite), `total` at most."""
    variance = squares @ parts
    return variance, np.minimum(_ratio(variance**2, squares.multiply(squares) @ (parts**2 / freedoms)), total)


def _item_parts(
    noise: tuple[Array, ...], kept: float, weights: sparse.csr_array, by_item: Array
) -> tuple[Array, Array, float, float]:
    """Variance of each contrast by its spread over the items, with its degrees of freedom; and the part of the
    residual (seed x item) in one score, with its own."""
    count, items = by_item.shape
    size = weights.multiply(weights).sum(axis=1)
    spread, freedom = moderate(
        (weights @ by_item).var(axis=1, ddof=1) / size, np.full(len(size), items - 1.0), (count - 1.0) * (items - 1)
    )
    residuals = [each - each.mean(1, keepdims=True) - each.mean(0) + each.mean() for each in noise]
    residual_freedom = sum((len(each) - 1) * (items - 1) for each in noise) * kept
    residual = sum(float((each**2).sum()) for each in residuals) / residual_freedom
    return spread * size / items, freedom, residual, residual_freedom


def _ratio(above: Array, below: Array) -> Array:
    return np.divide(above, below, out=np.full_like(above, np.inf), where=below > 0)


def _estimates(value: Array, variance: Array, freedom: Array, scale: float) -> Estimates:
    # Below the last digits of the scores nothing is a difference.
    error = np.sqrt(variance + (8 * np.finfo(float).eps) ** 2)
    half = stats.t.ppf(0.975, freedom) * error
    p = 2 * stats.t.sf(np.abs(value) / error, freedom)
    return Estimates(value * scale, (value - half) * scale, (value + half) * scale, p)
