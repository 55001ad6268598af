"""One orchestrator a sweep, and folders that cannot be locked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from automate_train.errors import UserError
from automate_train.machine import lock, processes
from automate_train.machine.lock import held, is_held


def test_a_held_sweep_is_refused_and_free_again_afterwards(tmp_path: Path):
    file = tmp_path / "p" / "lock"
    assert not is_held(file)
    with held(file):
        assert is_held(file)
        with pytest.raises(UserError, match=f"being run by pid {os.getpid()} on"), held(file):
            pass
    assert not is_held(file)


@pytest.mark.parametrize("folder", ["file/p", "x" * 300, "nul\0", "loop/p"])
def test_a_folder_that_cannot_be_is_said_in_words(tmp_path: Path, folder: str):
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to("loop")
    assert not is_held(tmp_path / folder / "lock")
    with (
        pytest.raises(UserError, match="temp_dir: the sweep's folder cannot be used: "),
        held(tmp_path / folder / "lock"),
    ):
        pass


def test_who_holds_it_is_told_and_asked_to_stop(tmp_path: Path, monkeypatch):
    file, sent = tmp_path / "lock", []
    monkeypatch.setattr(lock, "signal_process", lambda pid, number: sent.append((pid, number)) or True)
    assert lock.holder(file) is None and lock.ask_to_stop(file, now=True) is None
    with held(file):
        holder = lock.holder(file)
        assert holder and holder.process.is_here and str(holder) == f"pid {os.getpid()}"
        assert lock.ask_to_stop(file, now=False) == lock.ask_to_stop(file, now=True) == holder
        assert sent == [(os.getpid(), lock.FINISH), (os.getpid(), lock.END)]
    assert lock.holder(file) is None and lock.ask_to_stop(file, now=True) is None and len(sent) == 2


def test_a_holder_on_another_machine_is_named_and_not_signalled(tmp_path: Path):
    file = tmp_path / "lock"
    with held(file):
        file.write_text(json.dumps({**json.loads(file.read_text()), "host": "elsewhere"}))
        assert str(lock.holder(file)) == f"pid {os.getpid()} on elsewhere"
        with pytest.raises(UserError, match=r"being run by pid .* on elsewhere"):
            lock.ask_to_stop(file, now=True)


LINE = {"boot": processes.boot_id(), "host": os.uname().nodename, "since": 1, "ticks": 1}


@pytest.mark.parametrize(
    "text", ["", "x", "[]", "{}", '{"pid": 0}', *(f'{json.dumps(LINE)[:-1]}, "pid": {pid}}}'
                                                  for pid in ("0", "-1", "1e400", "99999999999999999999", "null"))]
)  # fmt: skip
def test_a_damaged_line_names_nobody_and_nobody_is_signalled(tmp_path: Path, monkeypatch, text: str):
    file = tmp_path / "lock"
    monkeypatch.setattr(lock, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(lock, "signal_process", lambda *told: pytest.fail(f"signalled: {told}"))
    with held(file):
        file.write_text(text)
        assert lock.holder(file) == lock.UNKNOWN
        with pytest.raises(UserError, match="being run by a process that could not write its name down"):
            lock.ask_to_stop(file, now=True)
        with pytest.raises(UserError, match="being run by a process that"), held(file):
            pass


def test_looking_never_takes_it(tmp_path: Path):
    """Programs that look all the time keep nobody from taking it, and do not take each other for its holder."""
    file = tmp_path / "lock"
    with held(file):
        pass
    code = "import sys; from pathlib import Path; from automate_train.machine.lock import is_held\n"
    code += "print('looks', flush=True)\nwhile True: print(is_held(Path(sys.argv[1])), flush=True)"
    command = [sys.executable, "-c", code, str(file)]
    lookers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        for looker in lookers:
            assert looker.stdout and looker.stdout.readline() == "looks\n"
            assert {looker.stdout.readline() for _ in range(300)} == {"False\n"}, "another looker is no holder"
        for _ in range(200):
            with held(file):
                pass
    finally:
        for looker in lookers:
            looker.kill()
            looker.communicate()


@pytest.mark.parametrize("plant", [os.symlink, os.link])
def test_a_planted_link_is_refused_and_its_target_stays_as_it_is(tmp_path: Path, plant: Callable[[Path, Path], None]):
    victim, file = tmp_path / "victim", tmp_path / "lock"
    victim.write_text("precious")
    plant(victim, file)
    with pytest.raises(UserError, match="lock is a link"), held(file):
        pass
    assert victim.read_text() == "precious" and not is_held(file)


def test_a_pid_that_is_used_again_is_not_signalled(tmp_path: Path, monkeypatch):
    """The holder could not write down who it is (a full disk), and the line is of one that died long ago."""
    file, sent = tmp_path / "lock", []
    monkeypatch.setattr(lock, "signal_process", lambda pid, number: sent.append(pid) or True)
    with held(file):
        told = json.loads(file.read_text())
        for other in ({"ticks": told["ticks"] + 1}, {"pid": 1 << 22}):
            file.write_text(json.dumps({**told, **other}))
            assert lock.holder(file) == lock.UNKNOWN
            with pytest.raises(UserError, match="could not write its name down"):
                lock.ask_to_stop(file, now=True)
    assert sent == []


def test_the_holder_is_the_only_one_named_whatever_the_file_held_before(tmp_path: Path):
    file = tmp_path / "lock"
    file.write_text("x" * 5000)
    with held(file):
        assert json.loads(file.read_text())["pid"] == os.getpid() and lock.holder(file).pid == os.getpid()


def test_a_holder_in_another_boot_of_a_machine_of_this_name_is_elsewhere(tmp_path: Path):
    file = tmp_path / "lock"
    with held(file):
        file.write_text(json.dumps({**json.loads(file.read_text()), "boot": "another"}))
        with pytest.raises(UserError, match="being run by pid "):
            lock.ask_to_stop(file, now=True)
