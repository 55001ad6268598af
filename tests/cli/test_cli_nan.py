"""A run that diverges is ended; the tiny trainer diverges for real."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
import time

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


NOBODY_WATCHES = """
import os, time
from pathlib import Path
Path("on").touch()
while not Path("go").exists():
    time.sleep(0.02)
"""


@pytest.mark.slow
def test_a_run_that_diverged_and_ended_while_no_orchestrator_lived(sweep_files, tmp_path):
    """The next start writes that down and goes on: it has nothing to end, least of all itself and the shell above."""
    flags = sweep_files([sys.executable, "-c", NOBODY_WATCHES + DIVERGING])
    command = [sys.executable, "-m", "automate_train", *flags]
    killed = subprocess.Popen(command, cwd=tmp_path, start_new_session=True)
    deadline = time.monotonic() + 30
    while not (tmp_path / "on").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    killed.kill()
    assert killed.wait() == -signal.SIGKILL
    (tmp_path / "go").touch()
    while not any(path.read_bytes() for path in tmp_path.glob("out/p/*/attempt-1/exit_code")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    shell = f'{shlex.join(command)}; echo "it ended with $?"'
    again = subprocess.run(
        ["/bin/sh", "-c", shell], cwd=tmp_path, start_new_session=True, capture_output=True, text=True, timeout=60
    )
    assert "it ended with 1" in again.stdout and again.returncode == 0, again.stdout + again.stderr
    assert again.stdout.count("diverged: the loss was NaN 3 logged steps in a row") >= 2, "both attempts"
    assert len(list(tmp_path.glob("out/p/*/attempt-*"))) == 2
