"""An attempt that ended: who killed it."""

from __future__ import annotations

from typing import Any

import pytest

from automate_train.store.layout import AttemptFolder
from automate_train.trainers import command
from automate_train.training import running_attempt
from automate_train.training.running_attempt import Active


@pytest.fixture
def ended(tmp_path):
    """How an attempt of the command trainer ended, by its exit code and the kernel's count before and after."""

    def judge(code: int, before: int, after: int, monkeypatch: Any) -> tuple[str, str]:
        counts = iter([before, after])
        monkeypatch.setattr(running_attempt, "oom_kills", lambda: next(counts))
        folder = AttemptFolder(tmp_path)
        folder.exit_code.write_text(f"{code}\n")
        one = Active(1, "key", "run 0", "p", 1, folder, (), (0, 0, ""), 0.0, command, {})  # type: ignore[arg-type]
        one.outcome = one.judge()
        return one.outcome.reason, one.facts(1.0)["cause"]

    return judge


def test_the_kernel_is_named_when_it_has_killed_something_meanwhile(ended, monkeypatch):
    reason, cause = ended(137, 4, 5, monkeypatch)
    assert reason.startswith("killed by the kernel: ") and cause == "killed_by_kernel"
    reason, cause = ended(137, 5, 5, monkeypatch)
    assert reason.startswith("killed (SIGKILL): often by the kernel") and cause == "killed"
    assert ended(1, 4, 5, monkeypatch) == ("exit code 1", "unknown")


def test_the_count_is_the_kernels(tmp_path):
    counters = tmp_path / "vmstat"
    counters.write_text("nr_free_pages 7\noom_kill 12\nnuma_hit 3\n")
    assert running_attempt.oom_kills(str(counters)) == 12
    counters.write_text("nr_free_pages 7\n")
    assert running_attempt.oom_kills(str(counters)) == running_attempt.oom_kills(str(tmp_path / "none")) == 0
