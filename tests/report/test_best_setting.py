"""`best --by`: which setting, by what, and how much that says."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from automate_train.errors import UserError
from automate_train.records import Attempt, Outcome, RunRecord, Score
from automate_train.report.best_setting import ONE_SEED, TRAINING_LOSS, Choice, by_epoch_loss, by_held_out


def run(epoch_loss: float | None = None, *, kind: str = "succeeded", **varied: str) -> RunRecord:
    name = "_".join(f"{key}={text}" for key, text in varied.items())
    metrics = {} if epoch_loss is None else {"epoch_loss": epoch_loss}
    attempt = Attempt(1, name, 1, "p/attempt-1", (), "", 1.0, 2.0, Outcome(kind, 0), metrics)  # type: ignore[arg-type]
    return RunRecord(name, 0, 0, name, name, varied, {}, (attempt,))


def scores(of: RunRecord, items: Mapping[str, float], *, step: int = 9, measure: str = "held_out-0") -> list[Score]:
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


def test_held_out_scores_of_the_last_checkpoints_on_common_items():
    one, two = run(lr="1"), run(lr="2")
    known = [
        *scores(one, {"a": 0.1, "b": 0.1}, step=4),
        *scores(one, {"a": 0.5, "b": 0.5, "c": 0.0}),
        *scores(two, {"a": 0.4, "b": 0.4}),
        *scores(two, {"a": 0.0}, measure="held_out-1"),
        *scores(run(lr="9"), {"z": 0.0}),
        Score("", "", None, None, "held_out-0", "a", 0.9),
    ]
    choice = by_held_out([one, two], known, "out/p")
    assert chosen(choice) == "lr=2" and choice.words[0].startswith(
        "lr=2: score on 2 items 0.4, mean of 1 seed, the low"
    )
    three = by_held_out([one, two, run(lr="3")], known, "out/p")
    assert "finished runs without a score, which do not count: 1" in three.words
    with pytest.raises(UserError, match="no checkpoint of a finished run has a score"):
        by_held_out([run(lr="3")], known, "out/p")
    with pytest.raises(UserError, match="no picture on which"):
        by_held_out([one, two], [*scores(one, {"a": 1.0}), *scores(two, {"b": 1.0})], "out/p")
