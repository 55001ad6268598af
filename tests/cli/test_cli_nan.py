"""A run that diverges is ended; the tiny trainer diverges for real."""

from __future__ import annotations

import json
import sys

import pytest

DIVERGING = """
import json, os, time
with open(os.environ["AUTOMATE_TRAIN_ATTEMPT"] + "/events.jsonl", "a") as f:
    for step in range(3):
        f.write(json.dumps({"at": time.time(), "kind": "metrics", "step": step, "loss": None, "nan": True}) + "\\n")
time.sleep(12 if os.environ.get("LONG") else 0.1)
"""


@pytest.mark.slow
def test_three_nan_steps_end_the_run(automate_train, sweep_files):
    flags = sweep_files([sys.executable, "-c", DIVERGING])
    done = automate_train(*flags, LONG="1")
    assert done.returncode == 1 and "diverged" in done.stdout, done.stdout + done.stderr
    assert "after 12" not in done.stdout
    run = json.loads(automate_train("status", "out", "--json").stdout)["runs"][0]
    assert (run["state"], run["loss"]) == ("failed", "nan")


def test_on_nan_ignore_lets_it_go_on(automate_train, sweep_files):
    flags = sweep_files([sys.executable, "-c", DIVERGING], on_nan="ignore")
    assert automate_train(*flags).returncode == 0


def test_wrong_policies_and_retries_are_said(automate_train, sweep_files):
    flags = sweep_files([sys.executable, "-c", "pass"], on_nan="perhaps", retries="often")
    done = automate_train(*flags, "--dry-run")
    assert done.returncode == 2
    assert "on_nan: 'perhaps' is not one of stop, ignore" in done.stderr
    assert "retries: needs a whole number, not 'often'" in done.stderr
