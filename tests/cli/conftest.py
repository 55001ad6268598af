"""The fixtures of the tests that need a sweep which goes on while they look at it, or a machine with fake GPUs."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from machine_kit import Machine


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


@pytest.fixture
def machine(tmp_path: Path, automate_train: Any, sweep_files: Any, monkeypatch: Any) -> Iterator[Machine]:
    """A machine with fake GPUs; nothing of it runs on when the test ends."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("CUDA_DEVICE_ORDER", raising=False)
    here = Machine(tmp_path, automate_train, sweep_files)
    yield here
    (tmp_path / "go").touch()
    for process in here.background:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
