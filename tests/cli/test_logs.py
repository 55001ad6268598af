"""`automate-train logs`: the console of a run, followed to its end."""

from __future__ import annotations

import re

from control_kit import HELD, until


def test_logs_follow_a_run_to_its_end(automate_train, sweep_files, start, tmp_path):
    sweep = start(*sweep_files(HELD, {"n_list": [7, 8]}))
    until(lambda: (tmp_path / "on-8").exists())
    shown = automate_train("logs", "out", "1")
    assert shown.stdout == "run 8 begins\n" and re.fullmatch(r"run 1 \(id [0-9a-f]{4,}\) p_n=8\n", shown.stderr)
    follower = start("logs", "out", "1", "-f")
    assert follower.stdout and follower.stdout.readline() == shown.stderr  # both streams are one pipe here
    assert follower.stdout.readline() == "run 8 begins\n"
    (tmp_path / "go").touch()
    assert follower.stdout.readline() == "done\n" and follower.wait(10) == 0
    assert sweep.wait(30) == 0
    wrong = automate_train("logs", "out", "9")
    assert wrong.returncode == 2 and "no run has the index or id 9" in wrong.stderr
