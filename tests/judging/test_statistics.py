"""`judging/statistics` and `judging/variance`: against published tables, and what holds for every table."""

from __future__ import annotations

import math
import random
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas import DataFrame
from scipy import stats
from scipy.special import polygamma
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm
from statsmodels.stats.multitest import multipletests

from automate_train.judging.statistics import TOO_FEW, Row, compare, holm
from automate_train.judging.variance import moderate

TIGHT = {"rel": 1e-9, "abs": 1e-12}

# Student, The probable error of a mean (1908): hours of sleep gained by ten patients with each of two drugs.
SLEEP = {"1": [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0],
         "2": [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]}  # fmt: skip
# Box, Hunter and Hunter, Statistics for experimenters (1978), chapter 7: yield of penicillin, process by blend.
PENICILLIN = {"A": [89, 84, 81, 87, 79], "B": [88, 77, 87, 92, 81],
              "C": [97, 92, 87, 89, 80], "D": [94, 79, 85, 84, 88]}  # fmt: skip
# Snedecor and Cochran, Statistical methods (1967), p. 259: fat absorbed by doughnuts, in four fats.
FATS = {"1": [64, 72, 68, 77, 56, 95], "2": [78, 91, 97, 82, 85, 77],
        "3": [75, 93, 78, 71, 63, 76], "4": [55, 66, 49, 64, 70, 68]}  # fmt: skip

# Davies, Statistical methods in research and production (1947): yield of dyestuff from six batches (Dyestuff in lme4).
DYESTUFF = {"A": [1545, 1440, 1440, 1520, 1580], "B": [1540, 1555, 1490, 1560, 1495],
            "C": [1595, 1550, 1605, 1510, 1560], "D": [1445, 1440, 1595, 1465, 1545],
            "E": [1595, 1630, 1515, 1635, 1625], "F": [1520, 1455, 1450, 1480, 1445]}  # fmt: skip
# Milliken and Johnson, Analysis of messy data (1984), p. 285 (Machines in R's nlme): six workers, three times each.
MACHINES = {
    "A": [52.0, 52.8, 53.1, 51.8, 52.8, 53.1, 60.0, 60.2, 58.4, 51.1, 52.3, 50.3, 50.9, 51.8, 51.4, 46.4, 44.8, 49.2],
    "B": [62.1, 62.6, 64.0, 59.7, 60.0, 59.0, 68.6, 65.8, 69.7, 63.2, 62.8, 62.2, 64.8, 65.0, 65.4, 43.7, 44.2, 43.0],
    "C": [67.5, 67.2, 66.9, 61.5, 61.7, 62.3, 70.8, 70.6, 71.0, 64.1, 66.2, 64.0, 72.1, 72.0, 71.1, 62.0, 61.4, 60.5],
}


def rows(table, shared=True):
    """Setting -> scores of its seeds for one item."""
    return [Row(name, str(at) if shared else f"{name}{at}", "item", float(score))
            for name, scores in table.items() for at, score in enumerate(scores)]  # fmt: skip


def test_two_settings_with_the_same_seeds_are_the_paired_t_test():
    (pair,) = compare(rows(SLEEP)).pairs
    other = stats.ttest_rel(SLEEP["1"], SLEEP["2"])
    low, high = other.confidence_interval()
    assert (pair.difference, pair.low, pair.high) == pytest.approx((-1.58, low, high), **TIGHT)
    assert round(other.pvalue, 6) == 0.002833  # as published
    assert pair.verdict == "better"


@pytest.mark.parametrize(
    ("table", "residual"), [(FATS, 100.9), (DYESTUFF, 2451.25)], ids=["doughnuts", "dyestuff"]
)  # fmt: skip
def test_settings_with_seeds_of_their_own_are_a_one_way_analysis_of_variance(table, residual):
    fitted = ols("score ~ C(setting)", frame(rows(table))).fit()
    assert fitted.mse_resid == pytest.approx(residual, abs=0.01)  # as published
    check_against_ols(compare(rows(table, shared=False)), fitted, table)


def test_settings_with_shared_seeds_are_a_randomized_block_design():
    fitted = ols("score ~ C(setting) + C(seed)", frame(rows(PENICILLIN))).fit()
    assert fitted.mse_resid == pytest.approx(18.83, abs=0.01)  # as published
    check_against_ols(compare(rows(PENICILLIN)), fitted, PENICILLIN)


def frame(table: list[Row]):
    return DataFrame(table)


def check_against_ols(found, fitted, table):
    names, ps = sorted(table), []
    for pair in found.pairs:
        contrast = np.zeros(len(fitted.params))
        for name, sign in ((pair.a, 1), (pair.b, -1)):
            if name != names[0]:
                contrast[list(fitted.params.index).index(f"C(setting)[T.{name}]")] = sign
        test = fitted.t_test(contrast)
        assert (pair.difference, pair.low, pair.high) == pytest.approx(
            (test.effect.item(), *test.conf_int()[0]), **TIGHT
        )
        ps.append(test.pvalue.item())
    reject, corrected, *_ = multipletests(ps, method="holm")
    assert holm(np.array(ps)) == pytest.approx(corrected, **TIGHT)
    assert [pair.verdict != "inside the noise" for pair in found.pairs] == list(reject)


@pytest.mark.parametrize("shared", [True, False], ids=["shared seeds", "own seeds"])
@pytest.mark.parametrize("names", ["AB", "AC", "BC"])
def test_seeds_and_items_have_the_mean_squares_of_an_analysis_of_variance(names: str, shared: bool):
    table = [Row(name, f"{at % 3}" if shared else f"{name}{at % 3}", f"{at // 3}", score)
             for name in names for at, score in enumerate(MACHINES[name])]  # fmt: skip
    data = frame(table).assign(seed=[row.seed[-1] for row in table])
    of_seeds = "C(setting) * C(seed)" if shared else "C(setting) + C(setting):C(seed)"
    item_seed = " + C(item):C(seed)" if shared else ""
    found = anova_lm(ols(f"score ~ {of_seeds} + C(setting) * C(item){item_seed}", data).fit())
    parts = [(found.mean_sq[part], found.df[part]) for part in ("C(setting):C(seed)", "C(setting):C(item)", "Residual")]
    (seeds, items, residual) = (square for square, _ in parts)
    assert items > residual
    square = seeds + items - residual
    freedom = square**2 / sum(part**2 / df for part, df in parts)
    half = stats.t.ppf(0.975, freedom) * math.sqrt(2 * square / 18)

    (pair,) = compare(table).pairs
    means = [sum(MACHINES[name]) / 18 for name in names]
    difference = means[0] - means[1]
    assert (pair.difference, pair.low, pair.high) == pytest.approx(
        (difference, difference - half, difference + half), **TIGHT
    )


def test_variances_are_moderated_as_limma_does():
    """The prior's degrees of freedom solve Smyth's equation: spread of log s2 = trigamma(d/2) + trigamma(d0/2)."""
    variances, freedom = np.array([1.0, 20.0, 0.05, 3.0, 8.0]), np.full(5, 2.0)
    moderated, total = moderate(variances, freedom, 10.0)
    prior = total[0] - 2
    assert polygamma(1, prior / 2) + polygamma(1, 1) == pytest.approx(np.var(np.log(variances), ddof=1), rel=1e-6)
    assert moderated == pytest.approx((prior * variances.mean() + 2 * variances) / (prior + 2), **TIGHT)
    equal, total = moderate(np.array([1.0, 1.1, 0.9]), np.full(3, 2.0), 6.0)
    assert equal == pytest.approx(1.0) and list(total) == [6.0] * 3


scores = st.floats(-1e3, 1e3).map(lambda value: round(value, 6))


@st.composite
def tables(draw):
    names = [f"lr={at}" for at in range(draw(st.integers(1, 4)))]
    seeds, items = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    shared = draw(st.booleans())
    found = [Row(name, str(seed) if shared else f"{name}{seed}", str(item), draw(scores))
             for name, seed, item in product(names, range(seeds), range(items))]  # fmt: skip
    gone = draw(st.sets(st.integers(0, len(found) - 1), max_size=2))
    return [row for at, row in enumerate(found) if at not in gone or row.item == "0"]


@settings(max_examples=150, deadline=None)
@given(tables(), st.randoms())
def test_what_holds_for_every_table(table: list[Row], shuffle: random.Random):
    found = compare(table)
    names = list(dict.fromkeys(row.setting for row in table))
    assert [each.setting for each in found.settings] == names
    assert [(pair.a, pair.b) for pair in found.pairs] == list(combinations(names, 2))
    assert found.best and found.best[0] == min(found.settings, key=lambda each: each.mean).setting
    for pair in found.pairs:
        if pair.verdict == TOO_FEW:
            assert pair.low is None and pair.high is None
            continue
        assert pair.low <= pair.difference <= pair.high
        assert pair.verdict != "better" or pair.high < 0
        assert pair.verdict != "worse" or pair.low > 0
        assert {"better": pair.b, "worse": pair.a}.get(pair.verdict) not in found.best

    turned = compare([row._replace(score=-row.score) for row in table], higher=True)
    assert [pair.verdict for pair in turned.pairs] == [pair.verdict for pair in found.pairs]
    assert turned.best == found.best

    mixed = shuffle.sample(table, len(table))
    again = {frozenset((pair.a, pair.b)): pair for pair in compare(mixed).pairs}
    for pair in found.pairs:
        other = again[frozenset((pair.a, pair.b))]
        sign = 1 if other.a == pair.a else -1
        assert other.difference * sign == pytest.approx(pair.difference, rel=1e-9, abs=1e-9)
        if pair.low is not None:
            assert other.high - other.low == pytest.approx(pair.high - pair.low, rel=1e-6, abs=1e-9)


@settings(max_examples=50, deadline=None)
@given(tables(), st.sampled_from([1e-300, 1e-9, 1e6, 1e300]))
def test_the_unit_of_the_score_changes_no_verdict(table: list[Row], unit: float):
    plain, scaled = compare(table), compare([row._replace(score=row.score * unit) for row in table])
    assert [pair.verdict for pair in scaled.pairs] == [pair.verdict for pair in plain.pairs]


def one(setting: str, *scores: float, seeds: str = "123") -> list[Row]:
    return [Row(setting, seed, "a", score) for seed, score in zip(seeds, scores, strict=False)]


def test_one_seed_is_too_few_and_spoils_nothing_else():
    both = [*one("a", 1.0, 1.1, 0.9), *one("b", 5.0, 5.1, 4.9)]
    found = compare([*both, *one("c", 3.0)])
    assert found.pairs[0] == compare(both).pairs[0] and found.pairs[0].verdict == "better"
    assert {pair.verdict for pair in found.pairs[1:]} == {TOO_FEW}
    assert found.best == ("a", "c")
    assert (found.settings[2].low, found.settings[2].seeds) == (None, 1)


def test_runs_that_are_copies_of_each_other_are_no_replicates():
    (pair,) = compare([*one("a", 1.0, 1.0, 1.0), *one("b", 2.0, 2.0, 2.0)]).pairs
    assert pair.verdict == TOO_FEW and pair.difference == -1.0


def test_equal_settings_are_inside_the_noise():
    (pair,) = compare([*one("a", 0.1, 0.2, 0.3), *one("b", 0.1, 0.2, 0.3)]).pairs
    assert pair.verdict == "inside the noise" and pair.difference == 0


def test_two_pictures_do_not_make_sure_of_what_they_disagree_on():
    """Seeds agree to the last digit, but one picture says 5 and the other 1."""
    table = [Row(name, seed, item, base + gain + int(seed) * 1e-6 * len(name))
             for name, gains in {"a": (0.0, 0.0), "bb": (5.0, 1.0)}.items()
             for item, base, gain in zip("xy", (1.0, 2.0), gains, strict=True) for seed in "123"]  # fmt: skip
    (pair,) = compare(table).pairs
    assert pair.verdict == "inside the noise" and pair.low < 0 < pair.high


def test_only_items_that_all_runs_have_are_compared():
    table = [*one("a", 1.0, 1.1, 0.9), *one("b", 5.0, 5.1, 4.9)]
    more = [*table, Row("a", "1", "only here", 1e6)]
    assert compare(more) == compare(table)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ([], "no scores"),
        (one("a", math.nan), "seed '1'.*not a number"),
        (one("a", math.inf), "not a number"),
        ([*one("a", 1.0), *one("a", 1.0)], "more than one score"),
        ([Row("a", "1", "x", 1.0), Row("b", "1", "y", 1.0)], "no item has a score in every run"),
        ([Row(str(at), "1", "x", 1.0) for at in range(1001)], "1001 settings, and at most 1000"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_words(table: list[Row], words: str):
    with pytest.raises(ValueError, match=words):
        compare(table)
