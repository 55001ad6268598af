"""launch.json and resume.json: written without secrets, read whatever they hold."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from automate_train.records import Launch
from automate_train.store.launch import write_attempt
from automate_train.store.layout import SweepFolder


def test_what_was_asked_for_is_written_without_secrets(tmp_path: Path):
    folder = SweepFolder(tmp_path, "p").attempt("000-x/attempt-1")
    made = Launch(
        ("prog", "--a"), "/", {"A": "1"}, {"WANDB_API_KEY": "hush"}, {"training.toml": "x = 1\n", "hook/run.py": "pass"}
    )
    write_attempt(folder, made)
    assert folder.path == tmp_path / "p" / "000-x" / "attempt-1"
    assert (folder.path / "training.toml").read_text() == "x = 1\n"
    assert (folder.path / "hook/run.py").read_text() == "pass"
    asked = json.loads((folder.path / "launch.json").read_text())
    assert asked["argv"] == ["prog", "--a"] and asked["env"] == {"A": "1"} and asked["secrets"] == ["WANDB_API_KEY"]
    assert not any("hush" in file.read_text() for file in folder.path.rglob("*") if file.is_file())
    assert "hush" not in repr(made)
    with pytest.raises(FileExistsError):
        write_attempt(folder, made)
