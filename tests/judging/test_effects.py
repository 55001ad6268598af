"""Marginal effects of complete products, and the best epoch of a setting or of one run."""

from __future__ import annotations

import random
from itertools import product

import pytest
from scipy import stats

from automate_train.judging.effects import EpochRow, best_epoch, marginal_effects
from automate_train.judging.statistics import Row, compare

GRID = {f"{lr}/{dim}": {"lr": lr, "dim": dim, "same": "1"} for lr, dim in product("abc", "xy")}


def grid_rows(seeds: int = 3, shared: bool = True, noise: float = 0.05) -> list[Row]:
    """lr adds 0, 1, 2; dim nothing; a picture is as hard as its number."""
    draw = random.Random(2)
    return [
        Row(setting, str(seed) if shared else f"{setting}{seed}", str(item),
            "abc".index(point["lr"]) + item + draw.gauss(0, noise))
        for setting, point in GRID.items() for seed in range(seeds) for item in range(4)
    ]  # fmt: skip


@pytest.mark.parametrize("shared", [True, False], ids=["shared seeds", "own seeds"])
def test_the_effect_of_each_key_over_the_others(shared: bool):
    lr, dim = marginal_effects(grid_rows(shared=shared), GRID)
    assert (lr.key, dim.key) == ("lr", "dim")
    assert [each.setting for each in lr.values.settings] == ["lr=a", "lr=b", "lr=c"]
    assert [each.mean for each in lr.values.settings] == pytest.approx([1.5, 2.5, 3.5], abs=0.1)
    assert all(each.low < each.mean < each.high and each.seeds == 3 for each in lr.values.settings)
    assert lr.values.best == ("lr=a",) and {pair.verdict for pair in lr.values.pairs} == {"better"}
    (pair,) = dim.values.pairs
    assert pair.low < 0 < pair.high and len(dim.values.best) == 2


def test_one_picture_and_shared_seeds_are_a_two_way_layout():
    """The interval of a main effect is that of the residual over settings and seeds (balanced analysis of variance)."""
    rows = [row for row in grid_rows() if row.item == "0"]
    _, dim = marginal_effects(rows, GRID)
    setting = {name: [row.score for row in rows if row.setting == name] for name in GRID}
    seed = [sum(scores[at] for scores in setting.values()) / 6 for at in range(3)]
    mean = sum(seed) / 3
    residual = sum((score - sum(scores) / 3 - seed[at] + mean) ** 2
                   for scores in setting.values() for at, score in enumerate(scores)) / 10  # fmt: skip
    half = stats.t.ppf(0.975, 10) * (residual * 2 / 9) ** 0.5
    (pair,) = dim.values.pairs
    assert (pair.high - pair.low) / 2 == pytest.approx(half, rel=1e-9)


def test_a_product_with_holes_or_single_seeds_has_no_effects():
    rows = grid_rows()
    holes = {name: point for name, point in GRID.items() if name != "c/y"}
    assert marginal_effects([row for row in rows if row.setting in holes], holes) == ()
    assert marginal_effects(grid_rows(seeds=1), GRID) == ()
    one = [row for row in rows if row.setting != "c/y" or row.seed == "0"]
    assert marginal_effects(one, GRID) == ()
    single_key = {name: {"lr": name} for name in GRID}
    assert marginal_effects(rows, single_key) == ()


def epochs(means: list[float], seeds: int = 3, noise: float = 0.01) -> list[EpochRow]:
    draw = random.Random(3)
    return [
        EpochRow(epoch, f"{seed}", f"{item}", mean + item + seed / 10 + draw.gauss(0, noise))
        for epoch, mean in enumerate(means, 1) for seed in range(seeds) for item in range(5)
    ]  # fmt: skip


@pytest.mark.parametrize("seeds", [1, 3])
def test_the_best_epoch_of_a_run_and_of_a_setting(seeds: int):
    found = best_epoch(epochs([3.0, 2.0, 1.0, 1.0, 2.0], seeds))
    assert found is not None and found.tied == (3, 4) and found.epoch in found.tied and not found.is_last
    falling = best_epoch(epochs([3.0, 2.0, 1.0], seeds))
    assert falling is not None and falling.tied == (3,) and falling.is_last
    rising = best_epoch(epochs([3.0, 2.0, 1.0], seeds), higher=True)
    assert rising is not None and rising.tied == (1,)
    flat = best_epoch(epochs([1.0] * 12, seeds))
    assert flat is not None and flat.tied == tuple(range(1, 13)) and not flat.is_last


def test_epochs_that_not_every_run_has_are_left_out():
    rows = [row for row in epochs([3.0, 2.0, 1.0]) if row.seed != "1" or row.epoch < 3]
    found = best_epoch(rows)
    assert found is not None and found.tied == (2,) and found.is_last
    assert best_epoch([row for row in rows if (row.seed == "1") == (row.epoch == 1)]) is None
    assert best_epoch([]) is None


def test_one_run_with_one_picture_tells_no_epochs_apart():
    found = best_epoch([row for row in epochs([3.0, 2.0, 1.0], seeds=1) if row.item == "0"])
    assert found is not None and found.tied == (1, 2, 3) and not found.is_last


def test_pictures_that_not_every_epoch_has_are_left_out():
    rows = epochs([3.0, 2.0], seeds=1)
    assert best_epoch([*rows, EpochRow(1, "0", "new", -99.0)]) == best_epoch(rows)


def test_an_effect_agrees_with_the_comparison_of_a_single_key():
    """With a key of one value beside it, the settings are the values."""
    rows = [row._replace(setting=row.setting[0]) for row in grid_rows() if row.setting.endswith("x")]
    both = [*rows, *(row._replace(setting=row.setting + "2") for row in rows)]
    points = {name: {"lr": name[0], "twice": str(len(name))} for name in ("a", "b", "c", "a2", "b2", "c2")}
    lr, _ = marginal_effects(both, points)
    for pair, other in zip(compare(rows).pairs, lr.values.pairs, strict=True):
        assert other.difference == pytest.approx(pair.difference) and other.verdict == pair.verdict
