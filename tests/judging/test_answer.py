"""The sentences that people quote, and what to do next: histories of sweeps against a golden file."""

from __future__ import annotations

import random

import golden
import pytest

from automate_train.judging.answer import NextStep, epoch_sentence, next_steps, numbers, sentences
from automate_train.judging.effects import EpochRow, best_epoch, marginal_effects
from automate_train.judging.statistics import Row, compare


def scores(means: dict[str, float], seeds: int | dict[str, int] = 3, noise: float = 0.003) -> list[Row]:
    """Setting -> its mean; four pictures, and seeds of the same noise."""
    draw = random.Random(1)
    rows = []
    for setting, mean in means.items():
        for seed in range(seeds[setting] if isinstance(seeds, dict) else seeds):
            run = draw.gauss(0, noise)
            rows += [Row(setting, str(seed), str(item), mean + item / 50 + run + draw.gauss(0, noise / 3))
                     for item in range(4)]  # fmt: skip
    return rows


def rates(*means: float) -> dict[str, float]:
    return {f"unet_lr={at}e-4": mean for at, mean in enumerate(means, 1)}


SWEEPS = {
    "one setting": scores(rates(0.08)),
    "two, one better": scores({"unet_lr=1e-4": 0.08, "unet_lr=4e-4": 0.1}),
    "two, the second better": scores({"unet_lr=1e-4": 0.1, "unet_lr=4e-4": 0.08}),
    "two equal": scores({"network_dim=16": 0.08, "network_dim=32": 0.08}),
    "two, one seed each": scores({"network_dim=16": 0.08, "network_dim=32": 0.09}, seeds=1),
    "two, one of them with one seed": scores({"a": 0.08, "b": 0.09}, seeds={"a": 3, "b": 1}),
    "six, one seed each": scores(rates(*[0.08] * 6), seeds=1),
    "six, the first better than all": scores(rates(0.08, 0.1, 0.12, 0.14, 0.16, 0.18)),
    "six, two best": scores(rates(0.1, 0.08, 0.08, 0.12, 0.14, 0.16)),
    "six, the last two best": scores(rates(0.16, 0.14, 0.12, 0.1, 0.08, 0.08)),
    "six equal": scores(rates(*[0.08] * 6)),
    "six, three with one seed": scores(rates(0.08, 0.1, 0.12, 0.14, 0.16, 0.18),
                                       seeds={f"unet_lr={at}e-4": 1 + at % 2 * 2 for at in range(1, 7)}),
    "three, and only the outer two can be told apart": scores(rates(0.08, 0.085, 0.09)),
    "200, in a row": scores({f"unet_lr={at}": 0.08 + at / 1000 for at in range(200)}),
    "200, one better than all": scores({f"unet_lr={at}": 0.08 + 0.1 * (at > 0) for at in range(200)}),
    "200 equal": scores({f"unet_lr={at}": 0.08 for at in range(200)}),
    "200, one seed each": scores({f"unet_lr={at}": 0.08 for at in range(200)}, seeds=1),
}  # fmt: skip


def test_sentences_and_next_steps():
    lines = []
    for name, rows in SWEEPS.items():
        found = compare(rows)
        points = {each.setting: dict([each.setting.split("=")]) for each in found.settings if "=" in each.setting}
        lines += [f"# {name}", *sentences(found, score="held-out error")]
        lines += ["- " + step_text(step) for step in next_steps(found, points)]
    golden.compare("answers.txt", "\n".join(lines) + "\n")
    assert max(map(len, lines)) < 160


def step_text(step: NextStep) -> str:
    return " ".join(filter(None, [step.what, step.key, step.toward, step.edge, *step.settings]))


def test_higher_is_better():
    assert sentences(compare(SWEEPS["two, one better"], higher=True), score="likeness", higher=True) == [
        "unet_lr=4e-4 is better than unet_lr=1e-4 (likeness higher by 0.014 to 0.029)."
    ]


def test_a_grid_is_told_key_by_key():
    grid = {f"unet_lr={lr}_network_dim={dim}": {"unet_lr": lr, "network_dim": dim}
            for lr in ("1e-4", "4e-4") for dim in ("16", "32")}  # fmt: skip
    rows = scores({setting: 0.08 + 0.02 * (point["unet_lr"] == "4e-4") for setting, point in grid.items()})
    told = [sentences(effect.values, score="held-out error") for effect in marginal_effects(rows, grid)]
    assert told == [
        ["unet_lr=1e-4 is better than unet_lr=4e-4 (held-out error lower by 0.0146 to 0.0212)."],
        ["network_dim=16 and 32 cannot be told apart (difference in held-out error: -0.0019 to 0.0047)."],
    ]


def test_a_longer_training_is_a_next_step():
    found = compare(SWEEPS["two equal"])
    (longer, seeds) = next_steps(found, {}, last_epoch_best=["network_dim=16", "somewhere else"])
    assert longer == NextStep("longer", ("network_dim=16",)) and seeds.what == "seeds"


@pytest.mark.parametrize(
    ("means", "sentence"),
    [
        ([0.1], "There is one epoch, 1: nothing to compare it with."),
        ([0.1, 0.09, 0.08, 0.06], "Epoch 4, the last, has the best held-out error."),
        ([0.1, 0.06, 0.09, 0.1], "Epoch 2 has the best held-out error."),
        ([0.1, 0.0601, 0.0600, 0.1],
         "Epoch 3 has the best held-out error, and 2 is the first that cannot be told from it."),
        ([0.06, 0.06, 0.06, 0.06], "The 4 epochs cannot be told apart; the first is 1."),
    ],
)  # fmt: skip
def test_epochs_in_words(means: list[float], sentence: str):
    rows = scores({str(epoch): mean for epoch, mean in enumerate(means, 1)}, noise=0.001)
    found = best_epoch(EpochRow(int(row.setting), row.seed, row.item, row.score) for row in rows)
    assert found is not None and epoch_sentence(found, score="held-out error") == sentence


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ((0.0041, 0.0113), ["0.0041", "0.0113"]),
        ((0.00001, 0.0113), ["0.00001", "0.01130"]),
        ((-3.0, 4.0), ["-3.0", "4.0"]),
        ((0.0, 0.0), ["0.0", "0.0"]),
        ((1e-12, 3e-12), ["1e-12", "3e-12"]),
        ((1e12, 3e12), ["1e+12", "3e+12"]),
        ((1234.5, 1290.1), ["1234", "1290"]),
    ],
)
def test_numbers_that_belong_together(values, texts):
    assert numbers(*values) == texts
