"""Replicates, as a person adds them to a sweep that has been trained with one seed."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

TRAINED = [sys.executable, "-c", "open('trained', 'a').write('{lr}:{seed} ')"]
"""A program that says what it was asked to train."""


def test_replicates_of_a_finished_sweep_train_only_the_seeds_that_are_new(automate_train, sweep_files, tmp_path: Path):
    assert automate_train(*sweep_files(TRAINED, {"lr_list": [1, 2]}, seed=7)).returncode == 0
    done = automate_train(*sweep_files(TRAINED, {"lr_list": [1, 2], "replicates": 3}, seed=7))
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted((tmp_path / "trained").read_text().split()) == ["1:7", "1:8", "1:9", "2:7", "2:8", "2:9"]
    status = json.loads(automate_train("status", "out", "--json").stdout)
    assert [run["state"] for run in status["runs"]] == ["succeeded"] * 6 and all(
        run["in_sweep"] for run in status["runs"]
    )
    assert [(run["setting"], run["seed"]) for run in status["runs"]] == [
        (f"lr={lr}", str(seed)) for seed in (7, 8, 9) for lr in (1, 2)
    ]
    assert [(each["setting"], each["seeds"]) for each in status["settings"]] == [
        ("lr=1", ["7", "8", "9"]), ("lr=2", ["7", "8", "9"]),
    ]  # fmt: skip
    [table] = tmp_path.glob("out/*/results.csv")
    rows = list(csv.DictReader(table.open(encoding="utf-8")))
    assert [(row["setting"], row["seed"], row["lr"]) for row in rows][:2] == [("lr=1", "7", "1"), ("lr=2", "7", "2")]
    again = automate_train(*sweep_files(TRAINED, {"lr_list": [1, 2], "replicates": 3}, seed=7))
    assert again.returncode == 0 and len((tmp_path / "trained").read_text().split()) == 6


def test_a_program_that_does_not_read_the_seed_is_said_before_anything_starts(automate_train, sweep_files):
    refused = automate_train(*sweep_files([sys.executable, "-c", "", "{lr}"], {"lr_list": [1, 2], "replicates": 2}))
    assert refused.returncode == 2 and "seed: nothing in the command uses it" in refused.stdout + refused.stderr
