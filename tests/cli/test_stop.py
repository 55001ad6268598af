"""`automate-train stop`: real sweeps are asked to stop, and runs without a sweep are ended."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from pathlib import Path

import pytest
from control_kit import HELD, states, until

from automate_train.cli.stop import stop
from automate_train.executors.local import Local
from automate_train.machine import lock, processes
from automate_train.store.journal import Journal
from automate_train.store.layout import AttemptFolder, SweepFolder


def test_stop_lets_finish_what_runs(automate_train, sweep_files, start, tmp_path):
    sweep = start(*sweep_files(HELD, {"n_list": [0, 1, 2, 3]}))
    until(lambda: (tmp_path / "on-0").exists() and (tmp_path / "on-1").exists())
    for _ in range(2):  # asking twice is no second Ctrl-C
        said = automate_train("stop", "out")
        assert said.returncode == 0 and f"pid {sweep.pid}" in said.stdout and "2 runs may finish" in said.stdout
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


@pytest.mark.parametrize("now", [True, False])
def test_stop_of_a_sweep_in_which_nothing_runs(tmp_path, monkeypatch, now: bool):
    folder = SweepFolder(tmp_path, "p")
    folder.path.mkdir()
    Journal(folder.journal).close()
    monkeypatch.setattr(lock, "ask_to_stop", lambda file, now: "pid 7")
    assert list(stop(str(folder.path), now)) == ["pid 7 ends: nothing is running"]


def test_stop_now_ends_runs_that_were_left_alone(automate_train, sweep_files, start, tmp_path):
    sweep = start(*sweep_files(HELD, {"n_list": [0, 1]}))
    until(lambda: (tmp_path / "on-0").exists() and (tmp_path / "on-1").exists())
    sweep.kill()
    sweep.wait()
    assert "2 of its runs go on" in automate_train("stop", "out").stdout
    assert automate_train("stop", "out", "--now").stdout.count("ended (pid") == 2
    assert set(states(automate_train).values()) == {"cancelled"}, "not running, failed or lost"
    until(lambda: len(exit_codes(tmp_path)) == 2)


def test_stop_now_kills_what_ignores_it_and_what_has_lost_its_shell(automate_train, sweep_files, start, tmp_path):
    deaf = ["/bin/sh", "-c", "trap '' TERM; touch on-$0; while :; do sleep 0.05; done", "{n}"]
    sweep = start(*sweep_files(deaf, {"n_list": [0, 1]}))
    until(lambda: (tmp_path / "on-0").exists() and (tmp_path / "on-1").exists())
    sweep.kill()
    sweep.wait()
    shells = [int(handle.split()[0]) for handle in Local().living(tmp_path / "out/p").values()]
    os.kill(shells[0], signal.SIGKILL)  # the shell alone: the trainer lives on
    said = automate_train("stop", "out", "--now").stdout
    assert said.count("killed, because it did not end within 10 s (pid") == 2, said
    assert not any(processes.group_members(shell) for shell in shells)
    assert "nothing runs here" in automate_train("stop", "out").stdout


def test_stop_now_finds_a_trainer_that_hides_its_environment_and_has_lost_its_shell(
    automate_train, sweep_files, start, tmp_path
):
    hides = ["/bin/sh", "-c", "touch on-$0; exec env -i /bin/sleep 60", "{n}"]
    sweep = start(*sweep_files(hides, {"n_list": [0]}))
    until(lambda: (tmp_path / "on-0").exists())
    (shell,) = [int(handle.split()[0]) for handle in Local().living(tmp_path / "out/p").values()]
    until(lambda: [processes.command_line(pid) for pid in processes.group_members(shell)].count(["/bin/sleep", "60"]))
    until(lambda: handle_is_written(tmp_path))
    sweep.kill()
    sweep.wait()
    os.kill(shell, signal.SIGKILL)
    until(lambda: processes.group_members(shell) != [shell] and shell not in processes.group_members(shell))
    assert "its trainer goes on without the sweep" in automate_train("status", "out").stdout
    assert "ended (pid" in automate_train("stop", "out", "--now").stdout
    assert not processes.group_members(shell) and states(automate_train) == {0: "cancelled"}


def test_a_sweep_that_is_started_while_its_runs_are_ended_is_refused(automate_train, sweep_files, start, tmp_path):
    """It would adopt them, and stop because they failed."""
    deaf = ["/bin/sh", "-c", "trap '' TERM; touch on-$0; while :; do sleep 0.05; done", "{n}"]
    flags = sweep_files(deaf, {"n_list": [0]})
    sweep = start(*flags)
    until(lambda: (tmp_path / "on-0").exists())
    sweep.kill()
    sweep.wait()
    ending = start("stop", "out", "--now")
    until(lambda: lock.is_held(tmp_path / "out/p/lock"))
    again = automate_train(*flags)
    assert again.returncode == 2 and f"is being run by pid {ending.pid}" in again.stderr
    assert automate_train("stop", "out", "--now").returncode == 0  # asked once more: it kills at once
    assert ending.wait(30) == 0
    assert states(automate_train) == {0: "cancelled"}


def test_a_sweep_whose_folder_was_deleted_is_trained_anew_and_alone(automate_train, sweep_files, start, tmp_path):
    flags = sweep_files(HELD, {"n_list": [0]})
    sweep = start(*flags)
    until(lambda: (tmp_path / "on-0").exists())
    sweep.kill()
    sweep.wait()
    (old,) = Local().living(tmp_path / "out/p").values()
    shutil.rmtree(tmp_path / "out/p")
    (tmp_path / "on-0").unlink()
    again = start(*flags)
    until(lambda: (tmp_path / "on-0").exists())
    assert old not in (living := Local().living(tmp_path / "out/p")).values() and len(living) == 1
    (tmp_path / "go").touch()
    assert again.wait(30) == 0


def test_what_succeeded_while_nobody_watched_is_not_run_again(automate_train, sweep_files, start, tmp_path):
    flags = sweep_files(HELD, {"n_list": [0, 1, 2]})
    sweep = start(*flags)
    until(lambda: (tmp_path / "on-0").exists() and (tmp_path / "on-1").exists())
    sweep.kill()
    sweep.wait()
    (tmp_path / "go").touch()
    until(lambda: len(exit_codes(tmp_path)) == 2)
    assert automate_train(*flags).returncode == 0
    assert states(automate_train) == dict.fromkeys(range(3), "succeeded")
    assert len(list(tmp_path.glob("out/p/*/attempt-*"))) == 3


@pytest.mark.parametrize("command", ["stop", "logs", "retry", "status"])
def test_a_folder_that_is_no_sweep(automate_train, tmp_path, command):
    more = ["0"] if command == "logs" else []
    done = automate_train(command, str(tmp_path), *more)
    assert done.returncode == 2 and "there is no sweep here" in done.stderr


def handle_is_written(tmp_path: Path) -> bool:
    with contextlib.closing(Journal(tmp_path / "out/p/journal.sqlite")) as journal:
        return all(attempt.handle for attempt in journal.open_attempts())


def exit_codes(tmp_path: Path) -> list[int]:
    codes = (AttemptFolder(path).read_exit_code() for path in tmp_path.glob("out/p/*/attempt-1"))
    return [code for code in codes if code is not None]


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
