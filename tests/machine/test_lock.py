"""One orchestrator a sweep, and folders that cannot be locked."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from automate_train.errors import UserError
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
