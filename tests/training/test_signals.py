"""Ctrl-C in two steps, `stop`, SIGTERM, a terminal that closes: what they ask for, and that they wake us."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time

import pytest

from automate_train.machine.lock import END, FINISH
from automate_train.training.signals import END_RUNNING, FINISH_RUNNING, StopSignals


def sent(*numbers: int) -> int:
    with StopSignals() as stop:
        for number in numbers:
            os.kill(os.getpid(), number)
        return stop.level


@pytest.mark.parametrize(
    ("numbers", "level"),
    [
        ([], 0),
        ([signal.SIGHUP], 0),
        ([signal.SIGINT], FINISH_RUNNING),
        ([signal.SIGINT, signal.SIGINT], END_RUNNING),
        ([signal.SIGINT] * 5, END_RUNNING),
        ([FINISH, FINISH, FINISH], FINISH_RUNNING),
        ([signal.SIGINT, FINISH], FINISH_RUNNING),
        ([FINISH, signal.SIGINT], END_RUNNING),
        ([END], END_RUNNING),
        ([END, FINISH], END_RUNNING),
    ],
)
def test_what_is_asked_for(numbers, level):
    assert sent(*numbers) == level


def test_whoever_waits_wakes_up_and_only_once():
    read_end, write_end = os.pipe()
    with StopSignals() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert select.select(stop.wake_on, [], [], 5)[0]
        stop.drain()
        assert not select.select(stop.wake_on, [], [], 0)[0]
        os.kill(os.getpid(), FINISH)
        began = time.monotonic()
        stop.wait(60, [read_end])
        assert time.monotonic() - began < 30 and not select.select(stop.wake_on, [], [], 0)[0]
        stop.wait(0.01, [read_end])
        os.write(write_end, b"x")
        stop.wait(60, [read_end])
        assert time.monotonic() - began < 30
    os.close(read_end)
    os.close(write_end)


def test_a_stop_that_comes_as_we_end_does_not_end_us_by_its_default_action():
    """Whoever asks has seen who holds the lock, and signals a moment later."""
    code = (
        "import os; from automate_train.machine.lock import FINISH\n"
        "from automate_train.training.signals import StopSignals\n"
        "with StopSignals(): pass\n"
        "os.kill(os.getpid(), FINISH)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


def test_afterwards_everything_else_is_as_before():
    numbers = (signal.SIGINT, signal.SIGHUP, END)
    before, descriptors = [signal.getsignal(number) for number in numbers], len(os.listdir("/proc/self/fd"))
    sent(signal.SIGINT)
    assert [signal.getsignal(number) for number in numbers] == before
    assert len(os.listdir("/proc/self/fd")) == descriptors
