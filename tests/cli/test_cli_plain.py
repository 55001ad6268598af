"""A run without the hook: no events are written, and its progress is still known."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

QUICKSTART = Path(__file__).parents[2] / "configs" / "quickstart"


@pytest.mark.slow
def test_progress_without_the_hook(automate_train, tmp_path):
    settings = ["hook=false", f"temp_dir={tmp_path / 'out'}", f"target_path={tmp_path}", "log_with=None"]
    settings += [f"images_folder={QUICKSTART / 'images'}", "launcher=python", "epoch_num=1", "prompt_path=null"]
    flags = [part for setting in settings for part in ("--set", setting)]
    done = automate_train("--default_config_path", str(QUICKSTART / "default.json"), "--cpu", *flags)
    assert done.returncode == 0, done.stdout + done.stderr
    (row,) = csv.DictReader(next(tmp_path.glob("out/*/results.csv")).open())
    (attempt,) = tmp_path.glob("out/*/*/attempt-1")
    assert not (attempt / "events.jsonl").exists() and not (attempt / "hook").exists()
    assert row["state"] == "succeeded" and int(row["steps"]) > 0 and 0 < float(row["final_loss"]) < 10
