"""A program of ours that runs beside us: told, read, stopped."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from automate_train.machine.child_process import LONGEST_LINE, ChildProcess


def python(code: str, **options) -> ChildProcess:
    return ChildProcess([sys.executable, "-c", code], **options)


def words(child: ChildProcess, seconds: float = 15) -> list[str]:
    """Everything that it says until it has ended."""
    found, deadline = [], time.monotonic() + seconds
    while child.exit_code is None:
        assert time.monotonic() < deadline
        found += child.lines()
        time.sleep(0.01)
    return found


def test_it_is_told_and_read_until_it_has_ended():
    child = python("import sys; [print('line', flush=True) for _ in sys.stdin]; print('rest', end='')", piped=True)
    child.tell()
    child.tell()
    child.tell_no_more()
    assert words(child) == ["line", "line", "rest"] and child.exit_code == 0
    child.tell()
    assert child.outputs == () and list(child.lines()) == []


def test_lines_that_are_too_long_are_cut_and_reading_never_waits():
    child = python(f"import sys; print('x' * {LONGEST_LINE * 3}, end='', flush=True); sys.stdin.read()", piped=True)
    began = time.monotonic()
    assert list(child.lines()) == [] and time.monotonic() - began < 5
    child.tell_no_more()
    assert [len(line) for line in words(child)] == [LONGEST_LINE]


def test_a_ctrl_c_of_the_terminal_is_not_for_it():
    child = python("import os; print(os.getsid(0) == os.getpgrp() == os.getpid())", piped=True)
    assert words(child) == ["True"]


def test_its_output_goes_to_a_log_with_its_environment(tmp_path: Path):
    code = "import os, sys; print(os.environ['A']); print('err', file=sys.stderr)"
    child = python(code, log=tmp_path / "log", environment={"A": "b"})
    assert child.wait() == 0 and child.wait() == 0
    assert sorted((tmp_path / "log").read_text().split()) == ["b", "err"]


def test_it_runs_at_low_priority_when_that_is_asked_for(tmp_path: Path):
    child = python("import os; print(os.nice(0))", log=tmp_path / "log", nice=True)
    assert child.wait() == 0 and int((tmp_path / "log").read_text()) > os.nice(0)


def test_it_is_asked_to_end_and_then_killed_with_what_it_has_started():
    code = "import subprocess, sys; print('ready', flush=True); sys.stdin.read()"
    child = python(code, piped=True)
    while not list(child.lines()):
        time.sleep(0.01)
    child.stop(seconds=60)
    assert child.wait() == -signal.SIGTERM
    deaf = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
    )
    child = python(deaf, piped=True)
    while not list(child.lines()):
        time.sleep(0.01)
    child.stop(seconds=0.2)
    assert child.poll() is None
    deadline = time.monotonic() + 10
    while child.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert child.exit_code == -signal.SIGKILL
    child.stop(seconds=0)  # it has ended: its number may be another's
    child.close()


def test_what_cannot_be_started_leaves_nothing_open():
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError):
        ChildProcess(["/nowhere/program"], piped=True)
    assert len(os.listdir("/proc/self/fd")) == before
