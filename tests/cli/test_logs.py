"""`automate-train logs`: the console of a run, followed to its end."""

from __future__ import annotations

from control_kit import HELD, until


def test_logs_follow_a_run_to_its_end(automate_train, sweep_files, start, tmp_path):
    sweep = start(*sweep_files(HELD, {"n_list": [7, 8]}))
    until(lambda: (tmp_path / "on-8").exists())
    assert automate_train("logs", "out", "1").stdout == "run 8 begins\n"
    follower = start("logs", "out", "1", "-f")
    assert follower.stdout and follower.stdout.readline() == "run 8 begins\n"
    (tmp_path / "go").touch()
    assert follower.stdout.readline() == "done\n" and follower.wait(10) == 0
    assert sweep.wait(30) == 0
    wrong = automate_train("logs", "out", "9")
    assert wrong.returncode == 2 and "run 9 has not begun here (begun: 0, 1)" in wrong.stderr
