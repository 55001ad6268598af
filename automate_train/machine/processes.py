"""What this machine's processes are and do: /proc, and signals to them.

Covers: a process's state, group, session and start time, its environment and command line; the boot's id; how many
processes the kernel has killed for want of memory; `signal_group` and `signal_process`, which refuse what no mistake of
ours may ever reach. Not: which of them an attempt has (`executors.attempt_processes`), starting any (`child_process`).
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

DEAD = (b"Z", b"X")
"""States of processes that have ended: a zombie that nobody reaps holds no device."""


class Process(NamedTuple):
    """One line of /proc/<pid>/stat (proc(5))."""

    pid: int
    state: bytes
    group: int
    session: int
    ticks: int
    """When it started, in clock ticks since boot: with the boot's id and the pid, never the same for two processes."""

    @property
    def alive(self) -> bool:
        return self.state not in DEAD


def process(pid: int) -> Process | None:
    """What the kernel tells of a process; None when there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            fields = file.read(1024).rpartition(b")")[2].split()
        return Process(pid, fields[0], int(fields[2]), int(fields[3]), int(fields[19]))
    except (OSError, ValueError, IndexError):
        return None


class ProcessId(NamedTuple):
    """A process, told apart from every other one: a pid alone is used again, and another machine has the same."""

    pid: int
    ticks: int
    boot: str
    host: str

    @property
    def is_here(self) -> bool:
        """Whether it was started on this machine since it was switched on: only then is the pid one of ours."""
        return (self.boot, self.host) == (boot_id(), os.uname().nodename)

    @property
    def alive(self) -> bool:
        found = process(self.pid) if self.is_here else None
        return found is not None and found.alive and found.ticks == self.ticks


def id_of(pid: int) -> ProcessId:
    found = process(pid)
    return ProcessId(pid, found.ticks if found else 0, boot_id(), os.uname().nodename)


def processes() -> Iterator[Process]:
    for name in filter(str.isdecimal, os.listdir("/proc")):
        if found := process(int(name)):
            yield found


def environment_variable(pid: int, name: str) -> str | None:
    """A variable that a process was started with; None when it has none, is gone, or belongs to another user."""
    return _variables(_environment(pid)).get(name)


def with_variable(name: str, patience: float) -> Iterator[tuple[int, dict[str, str]]]:
    """Every process that was started with a variable of this name, and its environment. One that is being started is
    waited for, for `patience` seconds in all: nothing can be read of it yet."""
    start, deadline = name.encode() + b"=", time.monotonic() + patience
    for pid in map(int, filter(str.isdecimal, os.listdir("/proc"))):
        while not (data := _environment(pid)) and is_starting(pid) and time.monotonic() < deadline:
            time.sleep(0.001)
        if start in data and name in (found := _variables(data)):
            yield pid, found


def with_descriptor(number: int, file: str) -> Iterator[Process]:
    """Every living process that has a file, given by its real path, open under this number."""
    for found in processes():
        with contextlib.suppress(OSError):
            if found.alive and os.readlink(f"/proc/{found.pid}/fd/{number}") == file:
                yield found


def _environment(pid: int) -> bytes:
    try:
        with open(f"/proc/{pid}/environ", "rb", buffering=0) as file:
            return file.readall() or b""
    except OSError:
        return b""


def _variables(environment: bytes) -> dict[str, str]:
    entries = (os.fsdecode(entry).partition("=") for entry in environment.split(b"\0") if b"=" in entry)
    return {name: value for name, _, value in entries}


def command_line(pid: int) -> list[str]:
    """The arguments of a process; empty when it is gone."""
    try:
        return [os.fsdecode(word) for word in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:-1]]
    except OSError:
        return []


def is_starting(pid: int) -> bool:
    """Whether a process is inside execve: neither its arguments nor its environment can be read yet, and it may become
    anything. A kernel thread has neither and no program; of another user's process nothing is known."""
    try:
        os.readlink(f"/proc/{pid}/exe")
        return not _environment(pid) and not command_line(pid)
    except OSError:
        return False


@cache
def boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "unknown"


def kernel_oom_kills(counters: str = "/proc/vmstat") -> int:
    """How many processes the kernel has killed since boot because memory ran out; 0 where it does not count them
    (before Linux 4.13)."""
    try:
        with open(counters, "rb", buffering=0) as file:
            return int(file.read(1 << 16).partition(b"\noom_kill ")[2].split(b"\n", 1)[0] or 0)
    except (OSError, ValueError):
        return 0


def group_members(group: int) -> list[int]:
    """The living processes of a group."""
    if not signal_group(group, 0):
        return []
    return [each.pid for each in processes() if each.group == group and each.alive]


def signal_group(group: int, number: int) -> bool:
    """Signal every process of a group (0: only ask); whether there was one.

    A number that cannot be a group which we started is refused: 0 means our own group, 1 is init's, and -1 would reach
    everything that we may signal. It comes out of a damaged file or a bug of ours, and must not end this process, the
    shell above it, or the machine."""
    if group <= 1 or group == os.getpgrp():
        return False
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def signal_process(pid: int, number: int) -> bool:
    """Signal one process; whether there was one. Refused, as by `signal_group`: 0, 1, negative numbers, ourselves."""
    if pid <= 1 or pid == os.getpid():
        return False
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)
        return True
    return False
