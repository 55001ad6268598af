"""Runs attempts as process groups on this machine.

Covers: the start (posix_spawn of a small shell that waits for the trainer and writes its exit code), attempts that an
earlier orchestrator started, waiting on pidfds (an event, no timer), signals to whole groups, and which processes of an
attempt outlive it. Not: /proc itself (`machine.processes`), which attempt starts where (`training.placement`), what an
exit code means (`trainers`).
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..config.sampling_options import trainer_environment
from ..errors import RunError
from ..machine import gpus, processes, reservations
from ..machine.processes import Process
from ..records import Device, Launch
from ..store.layout import AttemptFolder

ATTEMPT = "AUTOMATE_TRAIN_ATTEMPT"
"""In the environment of every process of an attempt: its folder."""
KILL_SECONDS = 15.0
"""What killed processes get to disappear (a driver gives a GPU's memory back before they do)."""
START_SECONDS = 5.0
"""What a process may take from its making to its first instruction, on a machine that is very busy."""

# A fixed program: every value reaches it as an argument, none as text of the program. The traps keep the shell alive
# until the trainer has ended (a trapped signal is reset to its default in the trainer): the exit code is written even
# when the whole group is signalled. Everything but the trainer itself is built into the shell: no further process.
# Descriptor 3 reserves the attempt's devices. The trainer does not get it: a daemon that it leaves behind would keep
# them reserved for months.
SHIM = """trap : HUP INT TERM; echo $$ >"$1"; code=$2; cd -- "$3" && { shift 3; "$@" 3>&-; }; echo $? >"$code" """


class Local:
    """The attempts of this machine that we started or took over; one object a sweep.

    A handle is "<pid of the shell> <its start in clock ticks> <the boot's id>". The shell leads the attempt's process
    group, whose number is its pid; that number is not used again while the group has members."""

    def __init__(self) -> None:
        self._pidfds: dict[int, str] = {}
        self._polled: set[str] = set()
        """Handles without a pidfd (a kernel older than 5.3): looked at five times a second."""
        self._groups: set[str] = set()
        """Handles whose group may have members. A group that was seen empty is never signalled again: its number may
        be another program's by now."""
        self._reservations: dict[tuple[str, ...], int] = {}
        """Devices -> the descriptor that holds them. After a kill of ours the attempt's shell still has it."""
        self._poll = select.poll()
        self._boot = processes.boot_id()
        self._environment = trainer_environment(os.environ)

    def capacity(self) -> list[Device]:
        """This machine's GPUs, as they are now."""
        found = gpus.snapshot()
        ours = {device for devices in self._reservations for device in devices}
        taken: dict[str, str] = {}
        with contextlib.suppress(OSError):  # the preflight has told
            taken = reservations.taken(gpu.uuid or gpu.id for gpu in found if gpu.id not in ours)
        return [
            Device(
                id=gpu.id,
                label=f"GPU {gpu.index}",
                free=gpu.free,
                lost=gpu.lost,
                note=gpus.users_text(gpu),
                reserved=taken.get(gpu.uuid or gpu.id, ""),
            )
            for gpu in found
        ]

    def reserve(self, devices: Sequence[str], attempt: AttemptFolder) -> bool:
        if not devices:
            return True
        try:
            fd = reservations.take([gpus.cuda_names([each])[0] for each in devices], attempt.path.parents[1])
        except OSError:  # the preflight has told
            return True
        if fd is None:
            return False
        self._reservations[tuple(devices)] = fd
        return True

    def release(self, devices: Sequence[str]) -> None:
        fd = self._reservations.pop(tuple(devices), None)
        if fd is not None:
            os.close(fd)

    def start(self, launch: Launch, attempt: AttemptFolder, devices: Sequence[str]) -> str:
        """Start the trainer in its own session; `RunError` when the system refuses."""
        environment = child_environment(self._environment, launch, gpus.cuda_names(devices))
        environment[ATTEMPT] = str(attempt.path)
        arguments = (str(attempt.pid), str(attempt.exit_code), launch.cwd, *launch.argv)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        reservation = self._reservations.get(tuple(devices))
        try:
            pid = os.posix_spawn(
                "/bin/sh",
                ("sh", "-c", SHIM, "sh", *arguments),
                environment,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 1, str(attempt.console), flags, 0o666),
                    (os.POSIX_SPAWN_DUP2, 1, 2),
                    *([(os.POSIX_SPAWN_DUP2, reservation, 3)] if reservation is not None else []),
                ],
                setsid=True,
                # A parent that ignores SIGINT (a background job of a shell) must not hand that on.
                setsigdef=[signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE],
                setsigmask=[],
            )
        except (OSError, ValueError) as error:
            raise RunError(f"could not be started: {error}") from error
        shell = processes.process(pid)
        handle = f"{pid} {shell.ticks if shell else 0} {self._boot}"
        self._await(handle)
        return handle

    def find(self, attempt: AttemptFolder, handle: str) -> str:
        """By the handle, or, where it was never written down, by the pid file: such a shell has the attempt's path on
        its command line."""
        return handle if self._alive(handle) else self._shell(attempt, attempt.read_pid())

    def recover(self, sweep: Path, left_behind: Sequence[tuple[AttemptFolder, str]]) -> list[str]:
        living = _started_by(sweep)
        found = []
        for attempt, handle in left_behind:
            # A shell that was only just started may not have written its pid yet.
            shells = (self._shell(attempt, each.pid) for each in living.get(os.path.realpath(attempt.path), ()))
            found.append(self.find(attempt, handle) or next(filter(None, shells), ""))
        self._end_leftovers(living, {_pid(handle) for handle in found if handle})
        for handle in filter(None, found):
            self._await(handle)
        return found

    def wait(self, seconds: float | None, wake_on: Sequence[int] = ()) -> list[str]:
        if self._polled:
            seconds = min(0.2, seconds if seconds is not None else 0.2)
        for fd in wake_on:
            self._poll.register(fd, select.POLLIN)
        ready = self._poll.poll(None if seconds is None else max(0, seconds) * 1000)
        for fd in wake_on:
            self._poll.unregister(fd)
        ended = []
        for fd, _ in ready:
            if handle := self._pidfds.pop(fd, None):
                self._poll.unregister(fd)
                os.close(fd)
                ended.append(handle)
        gone = [handle for handle in self._polled if not self._alive(handle)]
        self._polled.difference_update(gone)
        ended += gone
        for handle in ended:
            with contextlib.suppress(ChildProcessError):  # of an earlier orchestrator: init reaps it
                os.waitpid(_pid(handle), 0)
        return ended

    def stop(self, handle: str, now: bool) -> None:
        """Signal the whole group: the trainer, its workers, and the shell, which outlives SIGTERM."""
        if handle in self._groups or self._alive(handle):
            processes.signal_group(_pid(handle), signal.SIGKILL if now else signal.SIGTERM)

    def holders(self, handle: str, attempt: AttemptFolder, devices: Sequence[str]) -> list[str]:
        pids = self._left_in_group(handle)
        if devices and not pids:
            users = [pid for gpu in gpus.snapshot() if gpu.id in devices for pid, _ in gpu.users]
            pids = [pid for pid in users if _belongs(pid, handle, attempt)]
        return [f"pid {pid}" for pid in pids]

    def describe(self, handle: str) -> str:
        return f"pid {_pid(handle)}"

    def _await(self, handle: str) -> None:
        self._groups.add(handle)
        try:
            fd = os.pidfd_open(_pid(handle))
        except (AttributeError, OSError):
            self._polled.add(handle)
            return
        self._pidfds[fd] = handle
        self._poll.register(fd, select.POLLIN)

    def _alive(self, handle: str) -> bool:
        """Whether the attempt's shell lives: its pid alone may be another process by now."""
        words = handle.split()
        if len(words) != 3 or words[2] != self._boot:
            return False
        shell = processes.process(_pid(handle))
        return shell is not None and shell.alive and str(shell.ticks) == words[1]

    def _shell(self, attempt: AttemptFolder, pid: int) -> str:
        """The handle of a process if it is the attempt's shell; else "". Its trainer may have the same paths among its
        own arguments, but does not lead the group."""
        shell = processes.process(pid) if pid > 1 else None
        if shell is None or not shell.alive or shell.group != pid:
            return ""
        return f"{pid} {shell.ticks} {self._boot}" if str(attempt.exit_code) in processes.command_line(pid) else ""

    def _left_in_group(self, handle: str) -> list[int]:
        """Living processes of a group whose leader has ended."""
        if handle not in self._groups:
            return []
        with contextlib.suppress(ChildProcessError):  # as a container's first process we are the heir of orphans
            while os.waitpid(-_pid(handle), os.WNOHANG)[0]:
                pass
        members = processes.group_members(_pid(handle))
        if not members:
            self._groups.discard(handle)
        return members

    def _end_leftovers(self, living: Mapping[str, Sequence[Process]], adopted: set[int]) -> None:
        """End what nobody waits for: trainers whose shell was killed (nobody could tell how they end), workers that
        outlived theirs. Only groups that a shell of ours led: what a person started by hand in an attempt's folder, or
        what has made itself independent, is left alone."""
        groups = set()
        for path, members in living.items():
            led = AttemptFolder(path).read_pid()
            groups |= {each.group for each in members if each.group == led and led not in adopted}
        for group in groups:
            processes.signal_group(group, signal.SIGKILL)
        deadline = time.monotonic() + KILL_SECONDS
        while any(map(processes.group_members, groups)) and time.monotonic() < deadline:
            time.sleep(0.01)


def child_environment(inherited: Mapping[str, str], launch: Launch, devices: Sequence[str]) -> dict[str, str]:
    """The inherited environment, the launch's own, and the devices it may see."""
    environment = {**inherited, **launch.env, **launch.secrets}
    if launch.gpus:
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(devices)
        environment["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
    return environment


def _pid(handle: str) -> int:
    """0 for a text that is no handle: `signal_group` refuses it."""
    word = handle.partition(" ")[0]
    return int(word) if word.isdecimal() and len(word) < 10 else 0


def _started_by(sweep: Path) -> dict[str, list[Process]]:
    """Every living process that an attempt of the sweep has started, by the real path of the attempt's folder. One that
    an orchestrator was starting when it was killed tells whose it is a moment later: that is waited for."""
    found: dict[str, list[Process]] = {}
    home = os.path.realpath(sweep) + os.sep
    deadline = time.monotonic() + START_SECONDS
    for each in processes.processes():
        if not each.alive:
            continue
        attempt = processes.environment_variable(each.pid, ATTEMPT)
        while attempt is None and processes.is_starting(each.pid) and time.monotonic() < deadline:
            time.sleep(0.001)
            attempt = processes.environment_variable(each.pid, ATTEMPT)
        folder = os.path.realpath(attempt or os.sep)
        if folder.startswith(home):
            found.setdefault(folder, []).append(each)
    return found


def _belongs(pid: int, handle: str, attempt: AttemptFolder) -> bool:
    """Whether a process was started by this attempt: by its session, or by what it inherited."""
    found = processes.process(pid)
    if found is None:
        return False
    same_session = found.session == _pid(handle) > 0
    return same_session or processes.environment_variable(pid, ATTEMPT) == str(attempt.path)
