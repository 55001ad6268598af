"""The living processes that attempts have started on this machine, found by what they inherited.

Covers: whose a process is (by a variable, else by an open file), also when its attempt's folder was deleted; ending
those that nobody waits for.
Not: /proc itself (`machine.processes`), starting anything (`local`).
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import NamedTuple

from ..machine import processes
from ..machine.processes import Process
from ..store.layout import AttemptFolder
from .handle import pid_of

ATTEMPT = "AUTOMATE_TRAIN_ATTEMPT"
"""In the environment of every process of an attempt: its folder."""
GROUP = "AUTOMATE_TRAIN_GROUP"
"""In the environment of the trainer and all that it starts: the shell's pid, which is the number of the group."""
EXIT_CODE = 3
"""The descriptor of the exit code's file, in the shell (`local.SHIM`) and in the trainer."""
KILL_SECONDS = 15.0
"""What killed processes get to disappear (a driver gives a GPU's memory back before they do)."""
START_SECONDS = 5.0
"""What a process may take from its making to its first instruction, on a machine that is very busy."""


class Started(NamedTuple):
    """A living process that an attempt has started."""

    attempt: str
    """The real path of the attempt's folder."""
    process: Process
    led_by: int
    """The pid of the attempt's shell."""

    @property
    def is_shell(self) -> bool:
        return self.process.pid == self.led_by

    @property
    def is_in_group(self) -> bool:
        """What has made itself independent is left alone."""
        return self.process.group == self.led_by


def started_by(sweep: Path) -> list[Started]:
    """Every living process that an attempt of the sweep has started, also one whose folder was deleted. One that an
    orchestrator was starting when it was killed tells whose it is a moment later: that is waited for."""
    found = []
    home = os.path.realpath(sweep) + os.sep
    for pid, environment in processes.with_variable(ATTEMPT, START_SECONDS):
        attempt, process = os.path.realpath(environment[ATTEMPT]), processes.process(pid)
        if attempt.startswith(home) and process is not None and process.alive:
            led_by = environment.get(GROUP, "")  # the shell itself, and what it is starting, have none
            found.append(Started(attempt, process, int(led_by) if led_by.isdecimal() else process.group))
    return found


def without_variable(attempt: AttemptFolder, led_by: int) -> list[Started]:
    """Living processes of an attempt whose environment does not tell of it (`env -i`; setproctitle overwrites it), and
    whose shell was killed: they have inherited the exit code's open file."""
    file = os.path.realpath(attempt.exit_code)
    return [Started(os.path.dirname(file), each, led_by) for each in processes.with_descriptor(EXIT_CODE, file)]


def end_groups(groups: set[int]) -> None:
    """End what nobody waits for: trainers whose shell was killed (nobody could tell how they end), those whose folder
    was deleted, workers that outlived theirs."""
    for group in groups:
        processes.signal_group(group, signal.SIGKILL)
    deadline = time.monotonic() + KILL_SECONDS
    while any(map(processes.group_members, groups)) and time.monotonic() < deadline:
        time.sleep(0.01)


def belongs(pid: int, handle: str, attempt: AttemptFolder) -> bool:
    """Whether a process was started by this attempt: by its session, or by what it inherited."""
    found = processes.process(pid)
    if found is None:
        return False
    same_session = found.session == pid_of(handle) > 0
    return same_session or processes.environment_variable(pid, ATTEMPT) == str(attempt.path)
