"""A second terminal: stop, logs, retry, status --watch, a sweep in the background. Real processes throughout."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

HELD = ["/bin/sh", "-c", 'echo "run $0 begins"; touch "on-$0"; until [ -e go ]; do sleep 0.05; done; echo done', "{n}"]
"""Runs until the test makes the file `go`."""
ONCE = ["/bin/sh", "-c", '[ -e "good-$0" ] || { echo "no good-$0"; exit 3; }', "{n}"]
"""Fails until the test makes the file `good-<n>`."""


def until(fact, seconds: float = 30):
    deadline = time.monotonic() + seconds
    while not (found := fact()):
        assert time.monotonic() < deadline, "it never became true"
        time.sleep(0.02)
    return found


@pytest.fixture
def start(tmp_path):
    """Starts `automate-train` in the background; what still runs at the end is killed."""
    processes: list[subprocess.Popen[str]] = []

    def begin(*argv: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "automate_train", *argv]
        process = subprocess.Popen(
            command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )
        processes.append(process)
        return process

    yield begin
    (tmp_path / "go").touch()
    for process in processes:
        process.kill()
        process.communicate()


def states(automate_train) -> dict[int, str]:
    return {run["index"]: run["state"] for run in json.loads(automate_train("status", "out", "--json").stdout)["runs"]}


def test_stop_lets_finish_what_runs(automate_train, sweep_files, start, tmp_path):
    sweep = start(*sweep_files(HELD, {"n_list": [0, 1, 2, 3]}))
    until(lambda: (tmp_path / "on-0").exists() and (tmp_path / "on-1").exists())
    for _ in range(2):  # asking twice is no second Ctrl-C
        said = automate_train("stop", "out")
        assert said.returncode == 0 and f"pid {sweep.pid}" in said.stdout and "2 runs finish" in said.stdout
    before = _cpu(sweep.pid)
    time.sleep(1)
    assert _cpu(sweep.pid) - before < 0.3, "it spins while it waits"
    (tmp_path / "go").touch()
    assert sweep.wait(30) == 130
    assert states(automate_train) == {0: "succeeded", 1: "succeeded", 2: "waiting", 3: "waiting"}


def test_stop_now_ends_what_runs(automate_train, sweep_files, start, tmp_path):
    sweep = start(*sweep_files(HELD, {"n_list": [0, 1]}))
    until(lambda: (tmp_path / "on-0").exists() and (tmp_path / "on-1").exists())
    assert "ends 2 runs" in automate_train("stop", "out", "--now").stdout
    assert sweep.wait(30) == 130
    assert set(states(automate_train).values()) == {"cancelled"}
    assert "nothing runs here" in automate_train("stop", "out").stdout


def test_stop_now_ends_runs_that_were_left_alone(automate_train, sweep_files, start, tmp_path):
    sweep = start(*sweep_files(HELD, {"n_list": [0, 1]}))
    until(lambda: (tmp_path / "on-0").exists() and (tmp_path / "on-1").exists())
    sweep.kill()
    sweep.wait()
    assert "2 of its runs go on" in automate_train("stop", "out").stdout
    assert automate_train("stop", "out", "--now").stdout.count("ended (pid") == 2
    until(lambda: len(list(tmp_path.glob("out/p/*/attempt-1/exit_code"))) == 2)


def test_what_succeeded_while_nobody_watched_is_not_run_again(automate_train, sweep_files, start, tmp_path):
    flags = sweep_files(HELD, {"n_list": [0, 1, 2]})
    sweep = start(*flags)
    until(lambda: (tmp_path / "on-0").exists() and (tmp_path / "on-1").exists())
    sweep.kill()
    sweep.wait()
    (tmp_path / "go").touch()
    until(lambda: len(list(tmp_path.glob("out/p/*/attempt-1/exit_code"))) == 2)
    assert automate_train(*flags).returncode == 0
    assert states(automate_train) == dict.fromkeys(range(3), "succeeded")
    assert len(list(tmp_path.glob("out/p/*/attempt-*"))) == 3


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


@pytest.mark.parametrize("command", ["stop", "logs", "retry", "status"])
def test_a_folder_that_is_no_sweep(automate_train, tmp_path, command):
    more = ["0"] if command == "logs" else []
    done = automate_train(command, str(tmp_path), *more)
    assert done.returncode == 2 and "no sweep's journal is here" in done.stderr


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
