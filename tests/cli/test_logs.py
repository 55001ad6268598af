"""`automate-train logs`: the console of a run, followed to its end."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import subprocess
import sys

import pytest
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
    assert follower.stdout.readline() == "done\n" and follower.wait(120) == 0
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


@pytest.mark.parametrize("follow", [[], ["-f"]])
def test_logs_on_a_real_terminal(automate_train, sweep_files, tmp_path, follow):
    """Its text, bars and colours, and nothing that makes the terminal answer; into a pipe every byte."""
    told = r"\033[31mred\033[0m 10%%\r20%%\n\033[6n\033]0;title\007end\n"
    assert automate_train(*sweep_files(["/bin/sh", "-c", f"printf '{told}'"])).returncode == 0
    piped = automate_train("logs", "out", "0", *follow).stdout
    assert "\033[6n" in piped and "title" in piped
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "automate_train", "logs", "out", "0", *follow]
    with subprocess.Popen(command, cwd=tmp_path, stdout=theirs, stderr=subprocess.DEVNULL) as process:
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # EIO: the terminal's other end is closed
            while piece := os.read(ours, 4096):
                shown += piece
    os.close(ours)
    assert process.returncode == 0
    assert shown == b"\x1b[31mred\x1b[0m 10%\r20%\r\nend\r\n\x1b[0m"
