"""How often the verdicts of `compare` are right: `python -m benchmarks.judging [--sweeps N] [PART...]`.

Parts: null, few_items, unequal_noise, power, epochs. Scores are drawn from a known model with
fixed seeds, so the figures are the same on each machine; docs/judging.md has the table. Not measured here: how well the
held-out measure agrees with the eye.

The model: score = setting + picture + setting x picture + seed + seed x picture. Pictures are correlated: a seed moves
all of a run by the same amount, and beyond it groups of four similar pictures together. Planted differences are
measured in the standard deviation of a run's mean over its pictures.
"""

from __future__ import annotations

import math
import sys
from itertools import combinations
from typing import NamedTuple

import numpy as np
from scipy import stats

from automate_train.judging.effects import EpochRow, best_epoch
from automate_train.judging.statistics import Row, compare, holm

Array = np.ndarray


class Model(NamedTuple):
    settings: int = 6
    seeds: int = 3
    items: int = 8
    seed: float = 1.0
    """Standard deviation of what a seed does to all pictures of one run alike."""
    seed_item: float = 1.0
    """Of what it does to each picture; pictures of one group share half of it."""
    setting_item: float = 0.0
    """Of what a setting does to each picture beyond its mean."""
    shared: float = 0.0
    """The share of the seeds' variance that all settings with the same seed have in common."""
    own_seeds: bool = False
    """No two settings have a seed in common."""
    noisy: tuple[float, ...] = ()
    """How many times the noise of each setting is that of the first."""
    planted: float = 0.0
    """By how much setting 0 is better than all others, in standard deviations of a run."""


def run_deviation(model: Model) -> float:
    """The standard deviation of a run's mean over its pictures, by what its own seed does to it."""
    return math.sqrt((1 - model.shared) * (model.seed**2 + model.seed_item**2 * _mean_correlation(model.items)))


def _mean_correlation(items: int) -> float:
    return float(_correlation(items).mean())


def _correlation(items: int) -> Array:
    """Of pictures: groups of four, half of the variance in common."""
    group = np.arange(items) // 4
    return np.where(np.eye(items) > 0, 1.0, np.where(group[:, None] == group, 0.5, 0.0))


def draw(model: Model, random: np.random.Generator) -> tuple[list[Row], Array, Array]:
    """Rows of one sweep, and the true mean of each setting over all pictures there could be, and over these."""
    count, seeds, items = model.settings, model.seeds, model.items
    root = np.linalg.cholesky(_correlation(items))
    true = np.zeros(count)
    true[0] = -model.planted * run_deviation(model)
    pictures = 5 * root @ random.standard_normal(items)
    of_setting = model.setting_item * random.standard_normal((count, items))

    def noise(rows: int) -> Array:
        alike = model.seed * random.standard_normal((rows, seeds, 1))
        return alike + model.seed_item * random.standard_normal((rows, seeds, items)) @ root.T

    runs = math.sqrt(1 - model.shared) * noise(count) + math.sqrt(model.shared) * noise(1)
    runs *= np.array(model.noisy or (1.0,) * count)[:, None, None]
    scores = true[:, None, None] + pictures + of_setting[:, None, :] + runs
    rows = [
        Row(f"setting={i}", f"{i}.{s}" if model.own_seeds else f"{s}", f"{k}", float(scores[i, s, k]))
        for i in range(count) for s in range(seeds) for k in range(items)
    ]  # fmt: skip
    return rows, true, true + (pictures + of_setting).mean(1)


class Counts(NamedTuple):
    false_better: float
    """Share of sweeps with a verdict for a pair that does not differ."""
    covered: float
    """Share of the intervals of differences that hold the true one."""
    means_covered: float
    """Share of the intervals of settings' means that hold the mean over all seeds, on these pictures."""
    found: float
    """Share of the pairs with setting 0 whose verdict is right."""
    exact: float
    """The same by the exact test (`exact_p`) on the same sweeps, with Holm's correction as well."""
    found_alone: float
    """Share of them whose own interval excludes zero on the right side: no correction for other pairs."""
    exact_alone: float


def play(model: Model, sweeps: int) -> Counts:
    random = np.random.default_rng(20261124)
    false = covered = means = found = exact = alone = exact_alone = 0.0
    for _ in range(sweeps):
        rows, true, on_pictures = draw(model, random)
        comparison = compare(rows)
        pairs = comparison.pairs
        differences = [true[a] - true[b] for a, b in combinations(range(model.settings), 2)]
        known = list(zip(pairs, differences, strict=True))
        false += any(pair.verdict in ("better", "worse") for pair, difference in known if not difference)
        covered += sum(pair.low <= difference <= pair.high for pair, difference in known) / len(known)
        held = zip(comparison.settings, on_pictures, strict=True)
        means += sum(each.low <= mean <= each.high for each, mean in held) / len(on_pictures)
        first = [pair for pair in pairs if pair.a == "setting=0"]
        found += sum(pair.verdict == "better" for pair in first) / len(first)
        p, lower = exact_p(model, rows)
        exact += float(((holm(p) < 0.05) & lower)[: len(first)].mean())
        exact_alone += float(((p < 0.05) & lower)[: len(first)].mean())
        alone += sum(pair.high < 0 for pair in first) / len(first)
    return Counts(*(value / sweeps for value in (false, covered, means, found, exact, alone, exact_alone)))


def exact_p(model: Model, rows: list[Row]) -> tuple[Array, Array]:
    """p of each pair, in the order of `compare`, and whether its first setting has the lower mean, by the exact test.

    That is the best one which knows how the noise is made and not how large it is: a t test with all runs' mean square.
    It is told that all settings are equally noisy, whether seeds are shared, and which part of a difference's variance
    the pictures have, so that one mean square is all that it estimates.
    """
    runs = np.array([row.score for row in rows]).reshape(model.settings, model.seeds, model.items).mean(2)
    noise = runs if model.own_seeds else runs - runs.mean(0)
    freedom = (model.settings - (not model.own_seeds)) * (model.seeds - 1)
    square = noise.var(axis=1).sum() * model.seeds / freedom
    of_pictures = model.setting_item**2 / model.items / run_deviation(model) ** 2
    first, second = np.triu_indices(model.settings, 1)
    difference = runs.mean(1)[first] - runs.mean(1)[second]
    t = difference / math.sqrt(2 * square * (1 / model.seeds + of_pictures))
    return 2 * stats.t.sf(np.abs(t), freedom), t < 0


NOISES = {"": Model(), ", none shared": Model(own_seeds=True), ", setting x picture 0.5": Model(setting_item=0.5)}
CASES = {
    "null": {
        "6 settings, 3 seeds, 8 pictures": Model(),
        "and half of a seed's noise is the same in all settings": Model(shared=0.5),
        "and no seed is shared": Model(own_seeds=True),
        "and settings differ picture by picture": Model(setting_item=1.0),
        "and seeds do nothing alike to a run's pictures": Model(seed=0.0),
        "2 settings": Model(settings=2),
        "24 settings, 5 seeds": Model(settings=24, seeds=5),
    },
    "few_items": {
        f"{items} picture{'s' * (items > 1)}, setting x picture {share:g}": Model(items=items, setting_item=share)
        for items in (1, 2, 3, 4) for share in (0.0, 1.0) if items > 1 or not share
    },
    "unequal_noise": {
        "one of 6 settings 3 times as noisy": Model(noisy=(1, 1, 1, 1, 1, 3)),
        "noise from 0.5 to 4": Model(noisy=(0.5, 0.5, 1, 1, 2, 4)),
    },
    "power": {
        f"{settings} settings, {seeds} seeds{name}": made._replace(settings=settings, seeds=seeds, planted=1.5)
        for settings, seeds in ((6, 3), (6, 5), (6, 8), (3, 3), (2, 5)) for name, made in NOISES.items()
    },
}  # fmt: skip


def plateau(sweeps: int, step: float) -> float:
    """Share of settings whose epochs are equally good and of which some epoch is called better; a run's noise moves on
    from epoch to epoch by `step` of its size, so that neighbours are alike."""
    random = np.random.default_rng(20261124)
    epochs, seeds, items = 8, 3, 8
    false = 0
    keep = math.sqrt(1 - step**2)
    for _ in range(sweeps):
        noise = random.standard_normal((seeds, items)) + random.standard_normal((seeds, 1))
        rows = []
        for epoch in range(epochs):
            fresh = random.standard_normal((seeds, items)) + random.standard_normal((seeds, 1))
            noise = keep * noise + step * fresh
            rows += [EpochRow(epoch, f"{s}", f"{k}", float(score)) for (s, k), score in np.ndenumerate(noise)]
        found = best_epoch(rows)
        false += found is not None and len(found.tied) < epochs
    return false / sweeps


def main() -> None:
    words = [word for word in sys.argv[1:] if not word.startswith("--") and not word.isdigit()]
    sweeps = int(sys.argv[sys.argv.index("--sweeps") + 1]) if "--sweeps" in sys.argv else 1000
    for part, cases in CASES.items():
        if words and part not in words:
            continue
        for name, model in cases.items():
            counts = play(model, sweeps)
            line = f"{part:<13} {name:<55}"
            if model.planted:
                line += f" better {counts.found:.3f}, exact {counts.exact:.3f};"
                line += f" alone {counts.found_alone:.3f}, exact {counts.exact_alone:.3f};"
            covered = f"covered {counts.covered:.3f}, means {counts.means_covered:.3f}"
            print(f"{line} false {counts.false_better:.3f}, {covered}", flush=True)
    if not words or "epochs" in words:
        for step in (1.0, 0.5, 0.2):
            line = f"{'epochs':<13} {f'8 equal epochs, each {step:g} new':<55}"
            print(f"{line} false {plateau(sweeps, step):.3f}", flush=True)


if __name__ == "__main__":
    main()
