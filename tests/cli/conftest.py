"""The fixture of the tests that need a sweep which goes on while they look at it."""

from __future__ import annotations

import subprocess
import sys

import pytest


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
