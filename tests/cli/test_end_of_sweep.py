"""The first and the last moments of a sweep: what another orchestrator did meanwhile, requests to stop, full disks."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import signal
from pathlib import Path

import pytest
from control_kit import HELD, until

from automate_train import pipeline
from automate_train.executors.local import Local
from automate_train.machine import lock
from automate_train.machine.following_process import FollowingProcess
from automate_train.preflight import plan as plan_text
from automate_train.report import worker
from automate_train.store.layout import SweepFolder
from automate_train.sweep.request import SweepRequest


def sweep(tmp_path: Path, flags: list[str]) -> int:
    files = {"default file": str(tmp_path / flags[1]), "tuning file": str(tmp_path / flags[3])}
    overrides = {"temp_dir": str(tmp_path / "out")}
    return pipeline.run(SweepRequest(config_files=files, overrides=overrides, cpu_slots=2, plain=True))


def test_what_another_orchestrator_trained_during_the_checks_is_not_trained_again(sweep_files, tmp_path, monkeypatch):
    flags = sweep_files(["/bin/true", "{n}"], {"n_list": [0, 1, 2]})
    assert sweep(tmp_path, flags) == 0
    monkeypatch.setattr(plan_text, "known", lambda *told: (set(), []))  # as it was before the lock
    assert sweep(tmp_path, flags) == 0
    assert [path.name for path in tmp_path.glob("out/p/*/attempt-*")] == ["attempt-1"] * 3


def test_a_request_to_stop_while_the_last_page_is_made_does_not_kill_the_command(sweep_files, tmp_path, monkeypatch):
    file, make = SweepFolder(tmp_path / "out", "p").lock, worker.write_or_explain

    def slow(folder: SweepFolder) -> Path | None:
        holder = lock.holder(file)
        assert holder and holder.pid == os.getpid()
        os.kill(holder.pid, lock.FINISH)
        return make(folder)

    monkeypatch.setattr(worker, "write_or_explain", slow)
    assert sweep(tmp_path, sweep_files(["/bin/true", "{n}"], {"n_list": [0]})) == 130
    assert (tmp_path / "out/p/report.html").exists() and (tmp_path / "out/p/results.csv").exists()


def test_a_full_disk_at_the_end_fails_no_run(sweep_files, tmp_path, monkeypatch, capsys):
    def full(*told: object) -> Path:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(pipeline, "write_results", full)
    assert sweep(tmp_path, sweep_files(["/bin/true", "{n}"], {"n_list": [0]})) == 0
    told = capsys.readouterr()
    assert "the sweep's end could not be written" in told.out + told.err


def test_the_table_does_not_wait_for_the_judge(sweep_files, tmp_path, monkeypatch):
    """Measuring may take hours, and a kill meanwhile must not cost what is known of the trainings."""
    seen = []

    def finish(process: FollowingProcess, *told: object) -> None:
        about = json.loads((tmp_path / "out/p/sweep.json").read_text())
        seen.append((process.following.command, (tmp_path / "out/p/results.csv").exists(), about["state"]))

    monkeypatch.setattr(pipeline, "finish", finish)
    pictures = Path(__file__).parents[2] / "configs/quickstart/images"
    config = {"n_list": [0], "images_folder": str(pictures), "held_out": 2}
    assert sweep(tmp_path, sweep_files(["/bin/true", "{n}", "{images_folder}"], config)) == 0
    assert seen == [("judge", True, "done")]


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_a_sweep_whose_lock_is_a_link_is_refused(sweep_files, tmp_path, automate_train, link):
    (tmp_path / "out/p").mkdir(parents=True)
    (tmp_path / "precious").write_text("precious")
    link(tmp_path / "precious", tmp_path / "out/p/lock")
    done = automate_train(*sweep_files(["/bin/true", "{n}"], {"n_list": [0]}))
    assert done.returncode == 2 and "lock is a link" in done.stderr and "Traceback" not in done.stderr
    assert (tmp_path / "precious").read_text() == "precious"


def test_a_run_that_another_machine_trains_is_not_done(automate_train, sweep_files, start, tmp_path):
    """It is seen by its lock alone, on a shared disk."""
    flags = sweep_files(HELD, {"n_list": [0]})
    sweep = start(*flags)
    until(lambda: (tmp_path / "on-0").exists())
    sweep.kill()
    sweep.wait()
    ((attempt, handle),) = Local().living(tmp_path / "out/p").items()
    os.killpg(int(handle.split()[0]), signal.SIGKILL)
    with open(f"{attempt}/exit_code", "wb") as file:
        until(lambda: _is_locked_by_us(file.fileno()))
        assert automate_train(*flags).returncode == 1
        assert json.loads(automate_train("status", "out", "--json").stdout)["state"] == "running"
    (tmp_path / "go").touch()
    assert automate_train(*flags).returncode == 0


def _is_locked_by_us(descriptor: int) -> bool:
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False
