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
