"""What a person's votes say together: the strength of each setting with its interval, and which are the best.

Covers: Bradley-Terry with ties, R. R. Davidson, "On extending the Bradley-Terry model to accommodate ties in paired
comparison experiments", JASA 65 (1970), eq. 2.1: a is preferred to b with pa / (pa + pb + nu sqrt(pa pb)). The log
strengths have a normal prior whose spread is not known: four spreads, weighed by how well they explain the votes, so
that the intervals hold although the page asks most about the settings that look best. Also how often a number agreed
with the votes. Pure. Not: votes.jsonl (`store/votes`), which pair comes next (`report/web/js/vote_model.js`, which
computes the same in the page; a test compares the two).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..records import RunRecord
from ..store.votes import Vote

Floats = NDArray[np.float64]

SPREADS = (1.0, 2.0, 3.0, 5.0)
"""Standard deviations of the log strengths that are thought possible."""
TIES = (float(np.log(0.5)), 1.0)
"""Mean and standard deviation of log nu's prior: one vote in five between equals is a tie, or so."""
SIDES = 1.959963984540054
"""Standard deviations on either side of a 95 % interval."""


class Result(NamedTuple):
    """One vote, by setting."""

    a: str
    b: str
    preferred: str
    """a, b, or empty: no difference."""


class VotedSetting(NamedTuple):
    setting: str
    strength: float
    """Log odds of being preferred to an average one of the voted settings, where there is a preference."""
    low: float
    high: float
    votes: int


class Taste(NamedTuple):
    settings: tuple[VotedSetting, ...] = ()
    """The strongest first."""
    best: tuple[str, ...] = ()
    """The strongest, and those whose difference to it may be 0 (95 %)."""


class _Fit(NamedTuple):
    strengths: Floats
    covariance: Floats
    evidence: float
    """Log of the votes' probability under this spread, but for a constant (Laplace's approximation)."""


def results_of(votes: Iterable[Vote], runs: Sequence[RunRecord]) -> list[Result]:
    """Votes on two different settings of these runs; a setting goes by its name."""
    settings = {run.key[:8]: run.setting_name for run in runs}
    results = []
    for vote in votes:
        a, b = (settings.get(side.split("/")[0]) for side in (vote.left, vote.right))
        if a is not None and b is not None and a != b:
            results.append(Result(a, b, {"left": a, "right": b}.get(vote.choice, "")))
    return results


def taste(results: Sequence[Result]) -> Taste:
    names = sorted({name for result in results for name in (result.a, result.b)})
    if not names:
        return Taste()
    fits = [_fit(results, names, spread) for spread in SPREADS]
    weights = np.exp([fit.evidence - max(each.evidence for each in fits) for fit in fits])
    weights /= weights.sum()
    centre = np.eye(len(names)) - 1.0 / len(names)
    strengths, deviations = _mixed(fits, weights, centre)
    counts = Counter(name for result in results for name in (result.a, result.b))
    order = sorted(range(len(names)), key=lambda at: (-strengths[at], names[at]))
    lead, ahead = _mixed(fits, weights, np.eye(len(names))[order[0]] - np.eye(len(names)))
    return Taste(
        tuple(VotedSetting(names[at], float(strengths[at]), float(strengths[at] - SIDES * deviations[at]),
                           float(strengths[at] + SIDES * deviations[at]), counts[names[at]]) for at in order),
        tuple(names[at] for at in order if lead[at] - SIDES * ahead[at] <= 0.0),
    )  # fmt: skip


def agreement(results: Iterable[Result], values: Mapping[str, float], higher: bool = False) -> tuple[int, int]:
    """(in how many votes the better value belonged to the preferred setting, of how many). Ties, and settings without
    a value or with equal ones, are not counted. `higher`: the higher value is the better one."""
    agreed = counted = 0
    for a, b, preferred in results:
        if preferred and a in values and b in values and values[a] != values[b]:
            counted += 1
            agreed += preferred == (a if (values[a] > values[b]) == higher else b)
    return agreed, counted


def _mixed(fits: Sequence[_Fit], weights: Floats, rows: Floats) -> tuple[Floats, Floats]:
    """Mean and standard deviation of `rows @ strengths` over all spreads."""
    means = np.stack([rows @ fit.strengths for fit in fits])
    spreads = np.stack([np.einsum("ij,jk,ik->i", rows, fit.covariance, rows) for fit in fits])
    mean = weights @ means
    return mean, np.sqrt(np.maximum(weights @ (spreads + (means - mean) ** 2), 0.0))


def _fit(results: Sequence[Result], names: Sequence[str], spread: float) -> _Fit:
    """The most likely strengths by Newton's method: the log likelihood is concave in them and in log nu."""
    count, place = len(names), {name: at for at, name in enumerate(names)}
    a = np.array([place[result.a] for result in results])
    b = np.array([place[result.b] for result in results])
    tied = np.array([not result.preferred for result in results])
    sign = np.array([0.5 * ((each.preferred == each.a) - (each.preferred == each.b)) for each in results])
    some = bool(tied.any())  # without a tie, nu is 0: Bradley-Terry
    size = count + some
    values = np.zeros(size)
    values[count:] = TIES[0]
    prior = np.array([1.0 / spread**2] * count + [1.0 / TIES[1] ** 2] * some)
    middle = np.array([0.0] * count + [TIES[0]] * some)
    votes = np.arange(len(results))
    gradients = np.zeros((len(results), size))  # of each vote's log odds: half of the difference, and log nu
    gradients[votes, a], gradients[votes, b] = 0.5, -0.5
    for _ in range(100):
        half = gradients[:, :count] @ values[:count]
        win, lose, tie = np.exp(half), np.exp(-half), np.exp(values[count]) if some else 0.0
        total = win + lose + tie
        win, lose, tie = win / total, lose / total, tie / total
        gradient = gradients[:, :count].T @ (2 * sign - (win - lose)) - prior[:count] * values[:count]
        hessian = np.diag(prior)
        part = gradients[:, :count]
        hessian[:count, :count] += part.T @ (part * (win + lose - (win - lose) ** 2)[:, None])
        if some:
            gradient = np.append(gradient, (tied - tie).sum() - prior[count] * (values[count] - middle[count]))
            hessian[count, :count] = hessian[:count, count] = -part.T @ (tie * (win - lose))
            hessian[count, count] += (tie * (1 - tie)).sum()
        step = np.linalg.solve(hessian, gradient)
        longest = float(np.abs(step).max())
        values = values + step * min(1.0, 2.0 / max(longest, 1e-300))
        if longest < 1e-10:
            break
    chosen = np.where(tied, tie, np.where(sign > 0, win, lose))
    evidence = float(np.log(chosen).sum() - (prior * (values - middle) ** 2).sum() / 2)
    evidence -= count * float(np.log(spread)) + float(np.linalg.slogdet(hessian)[1]) / 2
    return _Fit(values[:count], np.linalg.inv(hessian)[:count, :count], evidence)
