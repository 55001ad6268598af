"""`automate-train retry`: the failed runs again, from any folder."""

from __future__ import annotations

from control_kit import HELD, ONCE, states, until


def test_retry_runs_the_failed_ones_again_from_anywhere(automate_train, sweep_files, tmp_path):
    flags = sweep_files(ONCE, {"n_list": [0, 1, 2]}, on_failure="continue")
    (tmp_path / "good-1").touch()
    assert automate_train(*flags).returncode == 1
    (tmp_path / "good-0").touch()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    again = automate_train("retry", str(tmp_path / "out"), "0", cwd=elsewhere)
    assert again.returncode == 0, again.stdout + again.stderr
    assert states(automate_train) == {0: "succeeded", 1: "succeeded", 2: "failed"}
    (tmp_path / "good-2").touch()
    assert automate_train("retry", str(tmp_path / "out"), cwd=elsewhere).returncode == 0
    assert set(states(automate_train).values()) == {"succeeded"}
    assert "every run that began has succeeded" in automate_train("retry", "out").stdout
    assert "run 1 has succeeded" in automate_train("retry", "out", "1").stderr
    assert [path.name for path in sorted(tmp_path.glob("out/p/000-*/*"))] == ["attempt-1", "attempt-2"]


def test_retry_goes_on_with_what_a_dead_sweep_left(automate_train, sweep_files, start, tmp_path):
    sweep = start(*sweep_files(HELD, {"n_list": [0]}))
    until(lambda: (tmp_path / "on-0").exists())
    said = automate_train("retry", "out")
    assert said.returncode == 2 and f"is being run by pid {sweep.pid}" in said.stderr
    sweep.kill()
    sweep.wait()
    (tmp_path / "go").touch()
    again = automate_train("retry", "out")
    assert again.returncode == 0 and "every run that began has succeeded" not in again.stdout, again.stdout
    assert states(automate_train) == {0: "succeeded"}
