"""What all tests share: hypothesis without a clock (machines are busy), and the command as users type it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# The same examples every time: a change is judged by what it changed. EXPLORE=1 plays others, `make faults` many more.
settings.register_profile(
    "default", deadline=None, derandomize="EXPLORE" not in os.environ, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("default")

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def reservations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fake cards have the same names in all tests, which run beside each other."""
    monkeypatch.setenv("AUTOMATE_TRAIN_RESERVATIONS", str(tmp_path))


@pytest.fixture
def automate_train(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command in an empty folder, without a GPU library, and wait for it."""

    def run(*argv: str, cwd: Path = tmp_path, seconds: float = 120, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "automate_train", *argv],
            cwd=cwd,
            env={**os.environ, **env},
            capture_output=True,
            text=True,
            timeout=seconds,
        )

    return run


@pytest.fixture
def sweep_files(tmp_path: Path) -> Callable[..., list[str]]:
    """Write default.json and tuning.json for the command trainer; returns the flags that name them."""

    def write(command: list[Any], tuning: dict[str, Any] | None = None, **default: Any) -> list[str]:
        shared = {"project_name_base": "p", "temp_dir": "out", "trainer": "command", "command": command, **default}
        (tmp_path / "default.json").write_text(json.dumps(shared), encoding="utf-8")
        (tmp_path / "tuning.json").write_text(json.dumps(tuning or {}), encoding="utf-8")
        return ["--default_config_path", "default.json", "--tuning_config_path", "tuning.json", "--cpu", "2"]

    return write


class NotRun:
    """Says as the last line which tests were not run, why, and what brings what they need."""

    def __init__(self) -> None:
        self.reasons: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped and isinstance(report.longrepr, tuple):
            self.reasons[report.longrepr[2].removeprefix("Skipped: ")] += 1

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        if count := sum(self.reasons.values()):
            reasons = "; ".join(f"{number}: {reason}" for reason, number in self.reasons.most_common())
            print(f"{count} tests were not run ({reasons}). What they need is installed by: make test-tools")


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # the workers of pytest-xdist report to the process that started them
        config.pluginmanager.register(NotRun(), "not_run")
