"""From runs and scores to an answer: which score stands for a run, what is left out, what is suggested."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from automate_train.judging.answer import NextStep
from automate_train.judging.suggestion import suggestion
from automate_train.judging.sweep_answer import answer
from automate_train.records import Attempt, Outcome, RunRecord, Score

MEASURE = "held-out-01234567"
RATES = ("1e-4", "4e-4", "2e-3")


def run_of(index: int, state: str = "succeeded", **varied: str) -> RunRecord:
    folder = f"{index:03d}-boat/attempt-1"
    saved = {"checkpoint": f"/elsewhere/boat/{folder}/output/boat.safetensors"}
    outcome = None if state == "running" else Outcome(state, 0)  # type: ignore[arg-type]
    attempt = Attempt(index + 1, f"key{index}", 1, folder, (), "", 0.0, 1.0, outcome, saved)
    options = {"held_out": 4, "epoch_num": 5, **varied}
    name = "_".join(f"{key}={value}" for key, value in varied.items())
    return RunRecord(f"key{index}", index, index, name, f"{index}", varied, options, (attempt,), id=f"{index}abc")


def sweep(seeds: tuple[str, ...] = ("1", "2", "3"), rates: tuple[str, ...] = RATES) -> list[RunRecord]:
    """Replicates are the slowest axis, as `replicates` makes them."""
    points = [(seed, rate) for seed in seeds for rate in rates]
    return [run_of(at, seed=seed, unet_lr=rate) for at, (seed, rate) in enumerate(points)]


def scored(
    runs: list[RunRecord], error: Callable[[RunRecord, int], float], epochs: int = 5, measure: str = MEASURE
) -> Iterator[Score]:
    """Every epoch of each run, on four pictures; the last epoch is the run's last file."""
    for run in runs:
        for epoch in range(1, epochs + 1):
            name = "boat.safetensors" if epoch == epochs else f"boat-{epoch:06d}.safetensors"
            for item in range(4):
                wobble = (hash_of(run.key, epoch, item) % 1000) / 1e6
                value = error(run, epoch) + 0.01 * item + wobble
                yield Score(run.key, f"{run.folder}/output/{name}", epoch, epoch * 10, measure, f"{item}.png", value)


def hash_of(*parts: object) -> int:
    return sum(ord(letter) * (at + 7) ** 3 for at, letter in enumerate(repr(parts)))


def by_rate(run: RunRecord, epoch: int) -> float:
    return {"1e-4": 0.2, "4e-4": 0.1, "2e-3": 0.1}[run.varied["unet_lr"]] + 0.05 / epoch


def test_the_verdict_is_of_the_last_checkpoints():
    runs = sweep()

    def error(run: RunRecord, epoch: int) -> float:  # a good start that is spoiled by the end
        return 0.01 if run.varied["unet_lr"] == "1e-4" and epoch == 2 else by_rate(run, epoch)

    found = answer(runs, list(scored(runs, error)))
    assert found.found is not None and set(found.found.best) == {"unet_lr=4e-4", "unet_lr=2e-3"}
    assert "unet_lr=1e-4" in " ".join(found.sentences)
    assert found.based_on == "3 settings with 3 seeds each, 4 pictures, the last checkpoint of each run"
    assert len(found.runs) == 9 and abs(found.runs["key0"] - 0.225) < 0.001


def test_a_setting_that_training_on_made_worse_is_told():
    runs = sweep()
    found = answer(runs, list(scored(runs, lambda run, epoch: by_rate(run, 5) + 0.02 * abs(epoch - 3))))
    assert any("was better at epoch 3 than at its last, 5" in each for each in found.sentences), found.sentences
    assert "longer" not in [step.what for step in found.next]


def test_runs_that_are_judged_on_fewer_pictures_are_not_called_not_judged():
    """A held-out picture was lost when these were judged."""
    runs = sweep()
    item = next(scored(runs, by_rate)).item
    found = answer(runs, [s for s in scored(runs, by_rate) if s.run_key not in ("key2", "key5") or s.item != item])
    assert set(found.runs) == {f"key{index}" for index in range(9)} - {"key2", "key5"}
    assert "2 of 9 runs are judged on fewer pictures and left out" in found.based_on
    assert "not judged" not in found.based_on


def test_only_runs_that_ended_well_and_whose_last_checkpoint_is_judged_are_compared():
    runs = sweep()
    runs[0] = run_of(0, "failed", seed="1", unet_lr="1e-4")
    runs[1] = run_of(1, "running", seed="1", unet_lr="4e-4")
    half = [s for s in scored(runs, by_rate) if s.run_key != "key2" or not s.checkpoint.endswith("boat.safetensors")]
    found = answer(runs, half)
    assert set(found.runs) == {f"key{index}" for index in range(3, 9)}
    assert "with 2 seeds each" in found.based_on and "3 of 9 runs are not judged" in found.based_on


def test_runs_of_an_earlier_sweep_and_other_measures_are_left_out():
    runs = sweep()
    scores = list(scored(runs, by_rate))
    gone = run_of(99, seed="1", unet_lr="9")._replace(in_sweep=False)
    scores += scored([gone], lambda *_: 0.0)
    alone = run_of(98, seed="1", unet_lr="8")
    scores += scored([alone], lambda *_: 0.0, measure="held-out-ffffffff")
    found = answer([*runs, gone, alone], scores)
    assert found.found is not None and len(found.found.settings) == 3 and found.measure == MEASURE
    assert "1 runs were measured otherwise" in found.based_on


def test_the_base_is_the_zero_line_of_its_own_measure():
    runs = sweep()
    base = [Score("", "", None, None, MEASURE, f"{item}.png", 0.3 + item) for item in range(2)]
    other = [Score("", "", None, None, "held-out-ffffffff", "0.png", 9.0)]
    assert answer(runs, [*scored(runs, by_rate), *base, *other]).base == 0.8


def test_no_scores_is_said_with_what_to_add():
    runs = sweep()
    assert answer(runs, []).sentences == ("No checkpoint is judged yet, so no setting can be called better.",)
    bare = [run._replace(options={}) for run in runs]
    assert 'add "held_out": 4' in answer(bare, []).sentences[0] and answer(bare, []).found is None


def test_seeds_that_the_trainer_draws_are_replicates_too():
    runs = [run_of(index, unet_lr=rate) for index, rate in enumerate(RATES)]
    found = answer(runs, list(scored(runs, by_rate)))
    assert found.found is not None and [each.seeds for each in found.found.settings] == [1, 1, 1]
    assert {pair.verdict for pair in found.found.pairs} == {"too few seeds to say"}


def test_a_hostile_score_makes_a_sentence_and_no_traceback():
    runs = sweep()
    reported = scored(runs, by_rate, measure="reported")
    scores = [score for score in reported if score.item == ("0.png" if score.run_key < "key4" else "1.png")]
    found = answer(runs, scores)
    assert found.found is None and found.sentences[0].startswith("Nothing can be compared: ")


# what to do next


def test_more_seeds_of_some_settings_are_named_by_their_indexes():
    step = NextStep("seeds", ("unet_lr=4e-4", "unet_lr=2e-3"))
    assert suggestion(step, sweep()).flags == ("--set", "replicates=5", "--only", "10-11,13-14")
    assert suggestion(NextStep("seeds", tuple(f"unet_lr={rate}" for rate in RATES)), sweep()).flags == (
        "--set",
        "replicates=5",
    )


def test_more_seeds_where_the_list_is_a_persons_own():
    runs = sweep(("7", "42"))
    assert suggestion(NextStep("seeds", ("unet_lr=4e-4",)), runs).flags == ("--set", "seed_list=[7, 42, 43, 44]")
    drawn = [run_of(0, unet_lr="1e-4")]
    assert suggestion(NextStep("seeds", ("unet_lr=1e-4",)), drawn).flags == ("--set", "replicates=3")


def test_a_value_beyond_the_edge_follows_its_neighbours_ratio():
    lower = NextStep("beyond", ("unet_lr=1e-4",), "unet_lr", "lower", "1e-4")
    assert suggestion(lower, sweep()).flags == ("--set", "unet_lr_list=[2.5e-05, 1e-4, 4e-4, 2e-3]")
    ranks = [run_of(at, network_dim=text) for at, text in enumerate(("8", "16"))]
    higher = NextStep("beyond", ("network_dim=16",), "network_dim", "higher", "16")
    assert suggestion(higher, ranks).flags == ("--set", "network_dim_list=[8, 16, 32]")
    one = [run_of(at, network_dim=text) for at, text in enumerate(("1", "4"))]
    assert suggestion(NextStep("beyond", ("network_dim=1",), "network_dim", "lower", "1"), one).flags == ()


def test_longer_training_names_the_users_own_key():
    assert suggestion(NextStep("longer", ("unet_lr=4e-4",)), sweep()).flags == ("--set", "epoch_num=10")
