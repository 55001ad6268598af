"""One orchestrator a sweep, and folders that cannot be locked."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from automate_train.errors import UserError
from automate_train.machine import lock
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
        assert holder and holder.here and str(holder) == f"pid {os.getpid()}"
        assert lock.ask_to_stop(file, now=False) == lock.ask_to_stop(file, now=True) == holder
        assert sent == [(os.getpid(), lock.FINISH), (os.getpid(), lock.END)]
    assert lock.holder(file) is None and lock.ask_to_stop(file, now=True) is None and len(sent) == 2


def test_a_holder_on_another_machine_is_named_and_not_signalled(tmp_path: Path):
    file = tmp_path / "lock"
    with held(file):
        file.write_text(json.dumps({"host": "elsewhere", "pid": os.getpid(), "since": 1.0}))
        assert str(lock.holder(file)) == f"pid {os.getpid()} on elsewhere"
        with pytest.raises(UserError, match=r"being run on elsewhere \(pid"):
            lock.ask_to_stop(file, now=True)


@pytest.mark.parametrize(
    "text", ["", "x", "[]", "{}", '{"pid": 0}', *(f'{{"host": "{os.uname().nodename}", "since": 1, "pid": {pid}}}'
                                                  for pid in ("0", "-1", "1e400", "99999999999999999999", "null"))]
)  # fmt: skip
def test_a_damaged_line_names_nobody_and_nobody_is_signalled(tmp_path: Path, text: str):
    file = tmp_path / "lock"
    with held(file):
        file.write_text(text)
        assert lock.holder(file) is None and lock.ask_to_stop(file, now=True) is None
        with pytest.raises(UserError, match="being run by another process"), held(file):
            pass
