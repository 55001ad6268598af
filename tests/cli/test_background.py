"""`--background`: a sweep that outlives its terminal."""

from __future__ import annotations

import os
import signal

from control_kit import HELD, until


def test_a_sweep_in_the_background_outlives_its_terminal(automate_train, sweep_files, tmp_path):
    done = automate_train(*sweep_files(HELD, {"n_list": [0, 1]}), "--background")
    try:
        assert done.returncode == 0 and "goes on without this terminal" in done.stdout, done.stderr
        pid = int(done.stdout.split()[1])
        until(lambda: (tmp_path / "on-1").exists())
        os.kill(pid, signal.SIGHUP)  # a terminal that closes
    finally:
        (tmp_path / "go").touch()
    watched = automate_train("status", "out", "--watch")
    assert watched.returncode == 0 and "2 succeeded" in watched.stdout
    assert "2 succeeded" in (tmp_path / "out/p/sweep.log").read_text()


def test_what_cannot_start_is_said_before_the_background(automate_train, sweep_files, tmp_path):
    done = automate_train(*sweep_files(["/nowhere/program", "{n}"], {"n_list": [0]}), "--background")
    assert done.returncode == 2 and "/nowhere/program" in done.stderr and not (tmp_path / "out").exists()


def test_a_sweep_that_ended_at_once_has_started(automate_train, sweep_files, tmp_path):
    """Its one run failed before anybody could look at the lock: that is exit code 1, not a sweep that did not start."""
    done = automate_train(*sweep_files(["/bin/false", "{n}"], {"n_list": [0]}), "--background")
    assert "did not start" not in done.stderr and "sweep.log" in done.stdout, done.stderr
    assert done.returncode in (0, 1)
