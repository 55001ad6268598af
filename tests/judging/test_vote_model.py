"""The model behind the votes: against choix, and against voters whose taste is known. `-s` shows the figures of
docs/judging.md; PLAYS=500 plays more."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
import pytest

from automate_train.judging import votes as model
from automate_train.judging.votes import Result, agreement, results_of, taste
from automate_train.records import RunRecord
from automate_train.store.votes import Vote

PLAYS = int(os.environ.get("PLAYS", "40"))
TASTES = {
    "0.55 apart": [0.55 * at for at in range(12)],
    "0.8 apart": [0.8 * at for at in range(12)],
    "one ahead by 1.5": [0.0] * 11 + [1.5],
    "normal, spread 1": None,
    "normal, spread 2": None,
}


def voted(dice: np.random.Generator, strengths: Sequence[float], a: int, b: int) -> Result:
    """By Davidson's model with nu 0.5: one in five votes on equals is a tie."""
    odds = float(np.exp((strengths[a] - strengths[b]) / 2))
    told = dice.random() * (odds + 1 / odds + 0.5)
    preferred = f"{a:02d}" if told < odds else "" if told < odds + 0.5 else f"{b:02d}"
    return Result(f"{a:02d}", f"{b:02d}", preferred)


def test_without_ties_it_is_bradley_terry_as_choix_has_it():
    choix = pytest.importorskip("choix")
    dice = np.random.default_rng(1)
    games = [tuple(map(int, dice.choice(6, 2, replace=False))) for _ in range(60)]
    results = [Result(f"{a}", f"{b}", f"{a}") for a, b in games]
    for spread in model.SPREADS:
        theirs = choix.opt_pairwise(6, games, alpha=1 / (2 * spread**2), tol=1e-10)
        ours = model._fit(results, [f"{at}" for at in range(6)], spread).strengths
        assert np.abs(ours - theirs).max() < 1e-6


def test_ties_as_davidson_has_them():
    """a wins 8, b wins 2, 5 ties: at the maximum the model's expectations are the counts, up to the priors (Davidson
    1970, eq. 3.1 and 3.2)."""
    results = [Result("a", "b", "a")] * 8 + [Result("a", "b", "b")] * 2 + [Result("a", "b", "")] * 5
    fit = model._fit(results, ["a", "b"], 1e6)
    (a, b), (low, high) = fit.strengths, (0.0, 10.0)
    odds = np.exp((a - b) / 2)
    for _ in range(200):  # nu, by bisection of its own equation: ties expected, and the pull of its prior
        nu = (low + high) / 2
        pull = 15 * nu / (odds + 1 / odds + nu) - 5 + (np.log(nu) - model.TIES[0]) / model.TIES[1] ** 2
        low, high = (low, nu) if pull > 0 else (nu, high)
    total = odds + 1 / odds + nu
    assert 15 * (odds - 1 / odds) / total == pytest.approx(8 - 2, abs=1e-4)


def test_intervals_hold():
    """Pairs that are asked about evenly; a voter of each taste."""
    covered = {}
    for name, strengths in TASTES.items():
        inside = []
        for number in range(PLAYS):
            dice = np.random.default_rng(number)
            true = dice.permutation(strengths) if strengths else dice.normal(0, float(name[-1]), 12)
            results = [voted(dice, true, *map(int, dice.choice(12, 2, replace=False))) for _ in range(80)]
            wanted = true - np.mean(true)
            inside += [each.low <= wanted[int(each.setting)] <= each.high for each in taste(results).settings]
        covered[name] = float(np.mean(inside))
    print("\n" + "\n".join(f"{name}: {share:.3f}" for name, share in covered.items()))
    assert 0.93 <= np.mean(list(covered.values())) <= 0.97
    assert all(0.91 <= share <= 0.99 for share in covered.values())


def test_few_votes_say_little():
    assert taste([]) == model.Taste()
    one = taste([Result("b", "a", "b")])
    assert [each.setting for each in one.settings] == ["b", "a"] and one.best == ("b", "a")
    assert one.settings[0].low < 0 < one.settings[0].high and one.settings[0].votes == 1
    only_ties = taste([Result("a", "b", "")] * 30)
    assert only_ties.settings[0].strength == pytest.approx(0, abs=1e-9) and len(only_ties.best) == 2
    always = taste([Result("a", "b", "a")] * 30)
    assert always.best == ("a",) and np.isfinite(always.settings[0].high)


def test_how_often_a_number_agrees():
    results = [Result("a", "b", "a"), Result("b", "c", "c"), Result("a", "c", ""), Result("a", "x", "a")]
    errors = {"a": 0.1, "b": 0.2, "c": 0.3}
    assert agreement(results, errors) == (1, 2)
    assert agreement(results, errors, higher=True) == (1, 2)
    assert agreement(results, {"a": 0.1, "b": 0.1}) == (0, 0)


def test_replicates_are_one_setting():
    def run(key: str, rate: str, seed: str) -> RunRecord:
        return RunRecord(key + "0" * 8, 0, 0, "n", "s", {"unet_lr": rate, "seed": seed}, {})

    runs = [run("aaaaaaaa", "1e-4", "1"), run("bbbbbbbb", "1e-4", "2"), run("cccccccc", "1e-3", "1")]
    cast = [("aaaaaaaa", "cccccccc", "left"), ("bbbbbbbb", "cccccccc", "right"), ("aaaaaaaa", "bbbbbbbb", "left"),
            ("cccccccc", "dddddddd", "left"), ("cccccccc", "bbbbbbbb", "same")]  # fmt: skip
    votes = [Vote(f"{at:016x}", 1.0, f"{left}/1/0/-", f"{right}/1/0/-", choice)
             for at, (left, right, choice) in enumerate(cast)]  # fmt: skip
    low, high = "unet_lr=1e-4", "unet_lr=1e-3"
    assert results_of(votes, runs) == [(low, high, low), (low, high, high), (high, low, "")]
