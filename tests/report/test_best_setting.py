"""`best --by`: which setting, by what, why and how sure that is."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping

import pytest

from automate_train.errors import UserError
from automate_train.records import Attempt, Outcome, RunRecord, Score
from automate_train.report.best_setting import ONE_SEED, TRAINING_LOSS, Choice, by_epoch_loss, by_held_out, by_votes
from automate_train.store.votes import Vote


def run(epoch_loss: float | None = None, *, kind: str = "succeeded", **varied: str) -> RunRecord:
    name = "_".join(f"{key}={text}" for key, text in varied.items())
    metrics = {} if epoch_loss is None else {"epoch_loss": epoch_loss}
    attempt = Attempt(1, name, 1, "p/attempt-1", (), "", 1.0, 2.0, Outcome(kind, 0), metrics)  # type: ignore[arg-type]
    return RunRecord(name, 0, 0, name, name, varied, {}, (attempt,))


def scores(of: RunRecord, items: Mapping[str, float], *, step: int = 9, measure: str = "held-out-0") -> list[Score]:
    return [Score(of.key, f"{of.key}/{step}", None, step, measure, item, score) for item, score in items.items()]


def chosen(choice: Choice) -> str:
    return choice.run.setting_name


def test_the_mean_over_the_seeds_decides_not_the_luckiest_run():
    runs = [run(loss, lr=lr, seed=seed) for lr, losses in (("1", (0.1, 0.9)), ("2", (0.3, 0.4)))
            for seed, loss in zip("56", losses, strict=True)]  # fmt: skip
    choice = by_epoch_loss(runs, "out/p")
    assert (choice.run.setting_name, choice.run.seed) == ("lr=2", "5"), "the first replicate"
    assert choice.words == (
        "lr=2: epoch_loss 0.35 (0.3 to 0.4), mean of 2 seeds, the lowest of 2 settings; "
        "next lr=1 with 0.5 (0.1 to 0.9)",
        TRAINING_LOSS,
        "the ranges of these two overlap: their difference may be chance",
    )


def test_one_seed_a_setting_is_said_to_show_nothing():
    assert ONE_SEED in by_epoch_loss([run(0.1, lr="1"), run(0.2, lr="2")], "out/p").words


def test_losses_that_cannot_be_compared_choose_nothing():
    with pytest.raises(UserError, match="cannot be compared: min_snr_gamma changes what they mean"):
        by_epoch_loss([run(0.08, min_snr_gamma="1"), run(0.2, min_snr_gamma="5")], "out/p")


def test_runs_without_a_loss_do_not_count():
    runs = [run(None, lr="1"), run(float("nan"), lr="2"), run(0.5, lr="3"), run(0.1, lr="4", kind="failed")]
    assert chosen(by_epoch_loss(runs, "out/p")) == "lr=3"
    with pytest.raises(UserError, match="no finished run has an epoch_loss"):
        by_epoch_loss(runs[:2], "out/p")


def test_the_answer_chooses_and_its_sentences_are_the_reasons():
    """Six runs; the two rates differ by far more than the seeds, the two ranks by nothing."""
    runs = [run(lr=lr, dim=dim, seed=seed) for lr in "12" for dim in "48" for seed in "567"]
    known = [score for each in runs for score in scores(each, {
        item: (0.5 if each.varied["lr"] == "1" else 0.2) + 0.001 * int(each.varied["seed"]) + 0.01 * at
        for at, item in enumerate("abcd")
    })]  # fmt: skip
    choice = by_held_out(runs, known, "out/p")
    assert choice.run.varied["lr"] == "2" and choice.run.seed == "5", "the first replicate"
    said = "\n".join(choice.words)
    assert "lr=2 dim=4 and lr=2 dim=8 cannot be told apart." in said and "lr=2 dim=4 is better than lr=1 dim=4" in said
    assert re.search(r"taken: lr=2 dim=4, held-out error 0\.\d+, 95 % interval .*, the lowest mean of these 2", said)
    assert choice.words[-1].startswith("based on 4 settings with 3 seeds each, 4 pictures")


def test_one_seed_a_setting_is_never_called_better():
    runs = [run(lr="1"), run(lr="2")]
    choice = by_held_out(
        runs, [*scores(runs[0], {"a": 0.5, "b": 0.6}), *scores(runs[1], {"a": 0.1, "b": 0.2})], "out/p"
    )
    assert chosen(choice) == "lr=2" and choice.words[0].startswith("Too few seeds to say which of")
    assert "taken: lr=2, held-out error 0.15, from one seed" in choice.words[1]


def test_a_setting_with_several_seeds_comes_before_a_lucky_one():
    runs = [*(run(lr=lr, seed=seed) for lr in "12" for seed in "56"), run(lr="3", seed="5")]
    known = [score for each in runs for score in scores(each, {
        item: 0.1 / int(each.varied["lr"]) + 1e-3 * int(each.varied["seed"]) + 0.01 * at for at, item in enumerate("ab")
    })]  # fmt: skip
    assert chosen(by_held_out(runs, known, "out/p")) == "lr=2"


def test_without_scores_it_is_said_why_and_what_else_can_choose():
    with pytest.raises(UserError, match=r"no picture was held out.*--by votes"):
        by_held_out([run(lr="3")], [], "out/p")


def test_votes_choose_and_say_how_sure_they_are():
    one, two, three = (run(lr=lr) for lr in "123")
    keys = {each.key: f"{at}" * 8 for at, each in enumerate((one, two, three))}
    runs = [each._replace(key=keys[each.key]) for each in (one, two, three)]
    votes = [Vote(f"{at:016x}", at, f"{loser.key}/1/0/-", f"{runs[1].key}/1/0/-", "left" if at % 7 == 0 else "right")
             for at, loser in enumerate([runs[0], runs[2]] * 30)]  # fmt: skip
    choice = by_votes(runs, votes, "out/p")
    assert chosen(choice) == "lr=2" and len(choice.words) == 1
    assert re.match(r"lr=2 won most by your 60 votes: preferred to .* in [789]\d % \(95 % interval", choice.words[0])
    assert by_votes(runs, votes[1:2], "out/p").words[1] == "the votes do not tell it apart from lr=3"
    with pytest.raises(UserError, match="no votes on two settings of this sweep"):
        by_votes(runs, [], "out/p")


def test_without_numpy_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delitem(sys.modules, "automate_train.judging.sweep_answer", raising=False)
    monkeypatch.delitem(sys.modules, "automate_train.judging.answer", raising=False)
    monkeypatch.delitem(sys.modules, "automate_train.judging.effects", raising=False)
    monkeypatch.setitem(sys.modules, "numpy", None)
    with pytest.raises(UserError, match=r"numpy is not installed.* -m pip install numpy scipy; or --run RUN"):
        by_held_out([run(lr="1")], [], "out/p")
