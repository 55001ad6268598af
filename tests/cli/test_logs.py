"""`automate-train logs`: the console of a run, followed to its end."""

from __future__ import annotations

import re

from control_kit import HELD, until

from automate_train.cli.logs import for_terminal


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


def test_a_terminal_is_not_steered_and_keeps_lines_bars_and_colours():
    console = (
        "\x1b]0;title\x07a\x1b[2J\x1b[31mred\x1b[0m 10%\r20%\n\x1b[6n\x1bP+q\x1b\\é \u4e2d\x9b6n\x07\ttab\n".encode()
    )
    shown = "a\x1b[31mred\x1b[0m 10%\r20%\né \u4e2d6n\ttab\n\x1b[0m".encode()
    assert b"".join(for_terminal([console])) == shown
    assert b"".join(for_terminal([bytes([each]) for each in console])) == shown
