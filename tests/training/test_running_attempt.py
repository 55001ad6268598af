"""An attempt that ended: who killed it."""

from __future__ import annotations

import os
from typing import Any

import pytest

from automate_train.records import Attempt, RunRecord
from automate_train.store.layout import AttemptFolder
from automate_train.store.progress import Progress
from automate_train.trainers import command
from automate_train.training import running_attempt
from automate_train.training.running_attempt import RunningAttempt

ATTEMPT = Attempt(1, "key", 1, "000-p/attempt-1", (), "", 0.0)
RECORD = RunRecord("key", 0, 0, "p", "p", {}, {})


@pytest.fixture
def ended(tmp_path):
    """How an attempt of the command trainer ended, by its exit code and the kernel's count before and after."""

    def judge(code: int, before: int, after: int, monkeypatch: Any) -> tuple[str, str]:
        counts = iter([before, after])
        monkeypatch.setattr(running_attempt, "kernel_oom_kills", lambda: next(counts))
        folder = AttemptFolder(tmp_path)
        folder.exit_code.write_text(f"{code}\n")
        one = RunningAttempt(ATTEMPT, RECORD, folder, command, "", 0.0, {}, Progress())
        outcome = one.judge(None)
        return outcome.reason, outcome.cause

    return judge


def test_the_kernel_is_named_when_it_has_killed_something_meanwhile(ended, monkeypatch):
    reason, cause = ended(137, 4, 5, monkeypatch)
    assert reason.startswith("killed by the kernel: ") and cause == "killed_by_kernel"
    reason, cause = ended(137, 5, 5, monkeypatch)
    assert reason.startswith("killed (SIGKILL): often by the kernel") and cause == "killed"
    assert ended(1, 4, 5, monkeypatch) == ("exit code 1", "unknown")


def test_seconds_end_with_the_exit_code_however_late_we_come(tmp_path):
    """We were busy, the journal was locked, nobody lived: none of that is the run's time."""
    attempt = ATTEMPT._replace(started=1000.0)
    one = RunningAttempt(attempt, RECORD, AttemptFolder(tmp_path), command, "", 50.0, {}, Progress(since=1002, at=1003))
    assert (one.seconds_until(80.0, 1030.0), one.seconds_told()) == (30.0, 1.0), "without an exit code"
    (tmp_path / "exit_code").write_text("0\n")
    os.utime(tmp_path / "exit_code", (1007, 1007))
    assert (one.seconds_until(80.0, 1030.0), one.seconds_told()) == (7.0, 7.0)
    for now in (900.0, 5000.0):  # somebody has set the machine's clock
        assert 0 <= one.seconds_until(80.0, now) <= 30


def test_a_full_disk_that_the_console_tells_of_explains_a_missing_exit_code(tmp_path):
    full = "OSError: [Errno 28] No space left on device"
    one = RunningAttempt(ATTEMPT, RECORD, AttemptFolder(tmp_path), command, "", 0.0, {}, Progress())
    for lines, cause, reason in (
        (
            ["steps: 1/9", "Traceback (most recent call last):", full],
            "disk_full",
            f"the disk is full: free some room ({full})",
        ),
        (["sh: 1: echo: write error: No space left on device"], "disk_full", "the disk is full: free some room (sh: "),
        (["wandb: Network error, retrying", "steps: 2/9"], "", "gone without an exit code: it was killed together "),
        ([], "", "gone without an exit code: it was killed together with its shell, or the disk was full"),
    ):
        (tmp_path / "console.log").write_text("\n".join(lines))
        outcome = one.judge(None)
        assert (outcome.kind, outcome.cause) == ("lost", cause) and outcome.reason.startswith(reason)
