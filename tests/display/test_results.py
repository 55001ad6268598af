"""results.csv: one line a run over all its attempts, safe to open in a spreadsheet."""

from __future__ import annotations

import csv
from pathlib import Path

from display_kit import Sweep

from automate_train.display.results import write_results
from automate_train.records import Resume


def rows(sweep: Sweep) -> list[dict[str, str]]:
    with write_results(sweep.journal, sweep.folder).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_resumed_run_is_one_line_whose_seconds_add_up(tmp_path: Path):
    sweep = Sweep(tmp_path)
    sweep.run(0, kind="lost", steps=15, seconds=10.5, loss=0.5)
    sweep.run(0, kind="succeeded", resume=Resume("/s", 12), steps=24, seconds=5.25, loss=0.25, epoch_loss=0.3,
              epoch_loss_step=24, epoch_nan_steps=2, checkpoint="/x/p.safetensors",
              delivered=["/loras/p.safetensors", "/loras/p.toml"])  # fmt: skip
    sweep.run(1, kind="failed", steps=15, seconds=10.0)
    sweep.run(1, kind="succeeded", steps=24, seconds=20.0)
    sweep.journal.add_waiting([sweep.record(2)])
    resumed, retried, waiting = rows(sweep)
    wanted = ("state", "lr", "final_loss", "epoch_loss", "epoch_nan_steps", "steps", "seconds", "checkpoint", "lora")
    assert [resumed[name] for name in wanted] == [
        "succeeded", "0e-4", "0.25", "0.3", "2", "24", "15.75", "/x/p.safetensors", "/loras/p.safetensors",
    ]  # fmt: skip
    assert resumed["folder"].endswith("000-p_lr-0e-4/attempt-2")
    assert (retried["steps"], retried["seconds"]) == ("24", "20.0"), "what was trained anew does not count"
    assert (waiting["state"], waiting["steps"], waiting["folder"]) == ("waiting", "", "")


def test_no_cell_is_run_as_a_formula(tmp_path: Path):
    sweep = Sweep(tmp_path)
    options = {"a": "=1+1", "b": "-1e-4", "c": "@x", "d": ["=x"], "e": True, "f": None, "g": -2}
    sweep.run(0, kind="failed", reason="=cmd", options=options)
    (row,) = rows(sweep)
    assert [row[name] for name in "abcdefg"] == ["'=1+1", "-1e-4", "'@x", '["=x"]', "true", "", "-2"]
    assert row["reason"] == "'=cmd"
