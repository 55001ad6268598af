"""Replicates in the status: seeds, mean and range of each setting; losses that cannot be compared are called that."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from display_kit import Sweep

from automate_train.config.masking import Masker
from automate_train.display import status, summary
from automate_train.records import Outcome, RunRecord
from automate_train.sweep.settings import spread

NOTE = "the training losses of these runs cannot be compared: min_snr_gamma changes what they mean"


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    return Sweep(tmp_path)


def add(sweep: Sweep, varied: Mapping[str, str], epoch_loss: float | None) -> None:
    index = sum(1 for _ in sweep.journal.records())
    run = RunRecord(f"k{index}", index, index, f"p{index}", f"p{index}", varied, {"trainer": "command"})
    begun = sweep.journal.begin(run, (), 1.0)
    metrics = {} if epoch_loss is None else {"epoch_loss": epoch_loss, "epoch_loss_step": 4}
    sweep.journal.end(begun, Outcome("succeeded", 0), 9.0, metrics)


def lines(sweep: Sweep) -> list[str]:
    return list(status.lines(sweep.journal, sweep.folder))


def test_each_setting_has_its_seeds_and_its_mean_and_range(sweep: Sweep):
    for seed, losses in (("1", (0.25, 0.5)), ("2", (0.75, None)), ("3", (0.5, float("nan")))):
        for lr, loss in zip(("1e-4", "4e-4"), losses, strict=True):
            add(sweep, {"lr": lr, "seed": seed}, loss)
    shown = lines(sweep)
    at = shown.index("setting  seeds    epoch_loss, mean (lowest to highest)")
    assert shown[at + 1 : at + 3] == ["lr=1e-4  1, 2, 3  0.5 (0.25 to 0.75)", "lr=4e-4  1, 2, 3  0.5"]
    found = json.loads(json.dumps(status.as_json(sweep.journal, sweep.folder), allow_nan=False))
    assert found["settings"][0] == {
        "setting": "lr=1e-4", "seeds": ["1", "2", "3"], "epoch_loss": {"mean": 0.5, "low": 0.25, "high": 0.75},
    }  # fmt: skip
    assert found["loss_note"] == "" and not any("cannot be compared" in line for line in shown)


def test_without_replicates_the_settings_are_the_runs_and_have_no_table(sweep: Sweep):
    add(sweep, {"lr": "1e-4"}, 0.5)
    add(sweep, {"lr": "4e-4"}, 0.25)
    assert not any(line.startswith("setting") for line in lines(sweep))


def test_losses_that_cannot_be_compared_are_called_that_and_nothing_is_ranked(sweep: Sweep):
    add(sweep, {"min_snr_gamma": "1"}, 0.0800)
    add(sweep, {"min_snr_gamma": "5"}, 0.2085)
    assert NOTE in lines(sweep) and status.as_json(sweep.journal, sweep.folder)["loss_note"] == NOTE
    ended = list(summary.lines(sweep.folder, sweep.journal, 1.0, ["automate-train"], None, 1, Masker()))
    assert NOTE in ended and not any("lowest" in line or "best" in line for line in ended)


def test_the_spread_of_nothing_is_none():
    assert spread([]) is spread([None, float("nan"), float("inf")]) is None
    assert str(spread([0.5])) == "0.5" and str(spread([0.25, 0.75, None])) == "0.5 (0.25 to 0.75)"
