"""Signals never reach what no mistake of ours may end; what /proc tells."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import automate_train
from automate_train.machine import processes

PACKAGE = Path(automate_train.__file__).parent
ROOMS = {"executors", "machine"}
IN_THE_TRAINER = {"hook", "tiny"}
"""They run in the trainer's own process, and look at that one alone."""


@pytest.fixture
def sent(monkeypatch) -> list[tuple[int, int]]:
    told: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "killpg", lambda group, number: told.append((group, number)))
    monkeypatch.setattr(os, "kill", lambda pid, number: told.append((pid, number)))
    return told


@pytest.mark.parametrize("number", [0, 1, -1, -2, -os.getpgrp()])
def test_zero_one_and_negative_numbers_are_refused(sent, number):
    for how in (signal.SIGTERM, signal.SIGKILL, 0):
        assert not processes.signal_group(number, how)
        assert not processes.signal_process(number, how)
    assert processes.group_members(number) == [] and sent == []


def test_our_own_group_and_process_are_refused_and_others_are_signalled(sent):
    assert not processes.signal_group(os.getpgrp(), signal.SIGTERM)
    assert not processes.signal_process(os.getpid(), signal.SIGTERM)
    assert sent == []
    assert processes.signal_group(4242, signal.SIGTERM) and processes.signal_process(4343, signal.SIGKILL)
    assert sent == [(4242, signal.SIGTERM), (4343, signal.SIGKILL)]


def test_what_is_gone_is_told():
    with subprocess.Popen(["/bin/true"], start_new_session=True) as gone:
        gone.wait()
        assert not processes.signal_group(gone.pid, signal.SIGTERM)
        assert not processes.signal_process(gone.pid, signal.SIGTERM)
        assert processes.process(gone.pid) is None
        assert processes.environment_variable(gone.pid, "A") is None and processes.command_line(gone.pid) == []


def test_a_process_tells_its_group_start_environment_and_arguments():
    code = "import sys; print(flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code, "é", ""]
    with subprocess.Popen(
        command, env={"A_B": "x", "A": "한글=1"}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as child:
        assert child.stdin and child.stdout
        child.stdout.readline()
        found = processes.process(child.pid)
        assert found and found.alive and (found.group, found.session) == (child.pid, child.pid)
        assert processes.group_members(child.pid) == [child.pid]
        assert (found.pid, found.ticks) in {(each.pid, each.ticks) for each in processes.processes()}
        assert processes.environment_variable(child.pid, "A") == "한글=1"
        assert processes.environment_variable(child.pid, "B") is None
        assert processes.command_line(child.pid) == command
        child.stdin.close()


def test_how_many_processes_the_kernel_has_killed(tmp_path):
    counters = tmp_path / "vmstat"
    counters.write_text("nr_free_pages 7\noom_kill 12\nnuma_hit 3\n")
    assert processes.kernel_oom_kills(str(counters)) == 12
    counters.write_text("nr_free_pages 7\n")
    assert processes.kernel_oom_kills(str(counters)) == processes.kernel_oom_kills(str(tmp_path / "none")) == 0


@pytest.mark.parametrize(
    "word", ["/proc/", "killpg", "os.kill(", "waitpid", "pidfd", "posix_spawn", "getpgrp", "setsid"]
)
def test_no_other_room_knows_processes(word):
    """Nothing but these two rooms reads /proc, starts processes by hand, or knows how one is signalled."""
    rooms = {path.relative_to(PACKAGE).parts for path in PACKAGE.rglob("*.py") if word in path.read_text("utf-8")}
    assert {parts[0] for parts in rooms if not IN_THE_TRAINER & set(parts)} <= ROOMS
    assert word in "".join(path.read_text("utf-8") for room in ROOMS for path in (PACKAGE / room).glob("*.py"))
