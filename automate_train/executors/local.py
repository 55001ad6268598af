"""Runs attempts as process groups on this machine.

Covers: the start (posix_spawn of a small shell that waits for the trainer and writes its exit code), attempts that an
earlier orchestrator started, waiting on pidfds (an event, no timer), signals to whole groups, reserving devices.
Not: the text of a handle (`handle`), which living processes an attempt has started (`attempt_processes`), which attempt
starts where (`training.placement`), what an exit code means (`trainers`).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ..config.sampling_options import trainer_environment
from ..errors import RunError
from ..machine import gpus, processes, reservations
from ..records import Device, Launch
from ..store.layout import AttemptFolder
from .attempt_processes import ATTEMPT, GROUP, Started, belongs, end_groups, started_by, without_variable
from .handle import handle_of, is_alive, parse, pid_of, reap
from .protocol import Found, Recovered

# A fixed program: every value reaches it as an argument, none as text of the program. The traps keep the shell alive
# until the trainer has ended (a trapped signal is reset to its default in the trainer): the exit code is written even
# when the whole group is signalled. It goes to a file that is open from the start (3): when the folder was deleted and
# made again meanwhile, it is not taken for that of the attempt there. On a full disk the shell's own exit code is left.
# Everything but the trainer itself is built into the shell: no further process.
# Descriptor 4 reserves the attempt's devices. The trainer does not get it: a daemon that it leaves behind would keep
# them reserved for months.
SHIM = """trap : HUP INT TERM; export AUTOMATE_TRAIN_GROUP=$$
cd -- "$1" && { shift; "$@" 4>&-; }; c=$?; echo $c >&3; exit $c"""


class Local:
    """The attempts of this machine that we started or took over; one object a sweep.

    A handle is "<pid of the shell> <its start in clock ticks> <the boot's id> <the machine's name>". The shell leads
    the attempt's process group, whose number is its pid; that number is not used again while the group has members."""

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
        inherited = trainer_environment(os.environ)
        self._environment = {name: value for name, value in inherited.items() if name != GROUP}

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
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
        reservation = self._reservations.get(tuple(devices))
        try:
            exit_code = _open_locked(attempt.exit_code)
        except OSError as error:
            raise RunError(f"could not be started: {error}") from error
        try:
            pid = os.posix_spawn(
                "/bin/sh",
                ("sh", "-c", SHIM, "sh", launch.cwd, *launch.argv),
                environment,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 1, str(attempt.console), flags, 0o666),
                    (os.POSIX_SPAWN_DUP2, 1, 2),
                    # In this order: the reservation may be our descriptor 3, the exit code's is none of these.
                    *([(os.POSIX_SPAWN_DUP2, reservation, 4)] if reservation is not None else []),
                    (os.POSIX_SPAWN_DUP2, exit_code, 3),
                ],
                setsid=True,
                # A parent that ignores SIGINT (a background job of a shell) must not hand that on.
                setsigdef=[signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE],
                setsigmask=[],
            )
        except (OSError, ValueError) as error:
            raise RunError(f"could not be started: {error}") from error
        finally:
            os.close(exit_code)
        handle = handle_of(processes.id_of(pid))
        self._await(handle)
        return handle

    def living(self, sweep: Path, left_behind: Sequence[tuple[AttemptFolder, str]] = ()) -> dict[str, str]:
        found = [each for each in _living(sweep, left_behind) if each.is_in_group]
        groups = {each.led_by: each for each in sorted(found, key=lambda each: each.is_shell)}  # the shell, if it lives
        handles = {each.attempt: handle_of(processes.id_of(each.led_by)) for each in groups.values()}
        self._groups.update(handles.values())
        return handles

    def recover(self, sweep: Path, left_behind: Sequence[tuple[AttemptFolder, str]]) -> Recovered:
        living = _living(sweep, left_behind)
        shells = {each.attempt: handle_of(processes.id_of(each.led_by)) for each in living if each.is_shell}
        attempts = [_found(attempt, handle, shells, living) for attempt, handle in left_behind]
        adopted = {pid_of(each.handle) for each in attempts if each.handle}
        left = [each for each in living if each.led_by not in adopted]
        end_groups({each.led_by for each in left if each.is_in_group})
        for each in attempts:
            if each.handle:
                self._await(each.handle)
        # By the moment of its start, too: its pid may be another process by now.
        still = {each.attempt for each in left if (now := processes.process(each.process.pid)) and now.alive
                 and now.ticks == each.process.ticks}  # fmt: skip
        return Recovered(attempts, sorted(still))

    def wait(self, seconds: float | None, wake_on: Sequence[int] = ()) -> dict[str, int | None]:
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
        gone = [handle for handle in self._polled if not is_alive(handle)]
        self._polled.difference_update(gone)
        return {handle: reap(handle) for handle in (*ended, *gone)}

    def waiting(self) -> None:
        return None

    def withdraw(self, handle: str) -> None:
        pass

    def went_on(self, handle: str) -> None:
        return None

    def stop(self, handle: str, now: bool) -> None:
        """Signal the whole group: the trainer, its workers, and the shell, which outlives SIGTERM."""
        if handle in self._groups or is_alive(handle):
            processes.signal_group(pid_of(handle), signal.SIGKILL if now else signal.SIGTERM)

    def holders(self, handle: str, attempt: AttemptFolder, devices: Sequence[str]) -> list[str]:
        pids = self._left_in_group(handle)
        if devices and not pids:
            users = [pid for gpu in gpus.snapshot() if gpu.id in devices for pid, _ in gpu.users]
            pids = [pid for pid in users if belongs(pid, handle, attempt)]
        return [f"pid {pid}" for pid in pids]

    def describe(self, handle: str) -> str:
        return f"pid {pid_of(handle)}"

    def _await(self, handle: str) -> None:
        self._groups.add(handle)
        try:
            fd = os.pidfd_open(pid_of(handle))
        except (AttributeError, OSError):
            self._polled.add(handle)
            return
        self._pidfds[fd] = handle
        self._poll.register(fd, select.POLLIN)

    def _left_in_group(self, handle: str) -> list[int]:
        """Living processes of a group whose leader has ended."""
        if handle not in self._groups:
            return []
        with contextlib.suppress(ChildProcessError):  # as a container's first process we are the heir of orphans
            while os.waitpid(-pid_of(handle), os.WNOHANG)[0]:
                pass
        members = processes.group_members(pid_of(handle))
        if not members:
            self._groups.discard(handle)
        return members


def child_environment(inherited: Mapping[str, str], launch: Launch, devices: Sequence[str]) -> dict[str, str]:
    """The inherited environment, the launch's own, and the devices it may see."""
    environment = {**inherited, **launch.env, **launch.secrets}
    if launch.gpus:
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(devices)
        environment["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
    return environment


def _open_locked(file: Path) -> int:
    """The file of the exit code, locked for as long as the attempt has it open: a machine that shares the disk, but not
    the processes, sees by it that the attempt still runs."""
    low = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    fd = fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(low)
    with contextlib.suppress(OSError):  # a disk without locks
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return fd


def _is_locked(file: Path) -> bool:
    try:
        fd = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(fd)
    return False


def _living(sweep: Path, left_behind: Sequence[tuple[AttemptFolder, str]]) -> list[Started]:
    living = started_by(sweep)
    return living + [each for attempt, handle in left_behind for each in _hidden(attempt, handle, living)]


def _hidden(attempt: AttemptFolder, handle: str, living: Iterable[Started]) -> list[Started]:
    """What lives on this machine of an attempt of which nothing else was found."""
    shell, path = parse(handle), os.path.realpath(attempt.path)
    if shell is None or not shell.is_here or any(each.attempt == path for each in living):
        return []
    return without_variable(attempt, shell.pid) if _is_locked(attempt.exit_code) else []


def _found(attempt: AttemptFolder, handle: str, shells: Mapping[str, str], living: Iterable[Started]) -> Found:
    path = os.path.realpath(attempt.path)
    if path in shells or any(each.attempt == path for each in living):
        return Found(shells.get(path, ""))
    if attempt.read_exit_code() is None and _is_locked(attempt.exit_code):
        shell = parse(handle)
        return Found(elsewhere=shell.host if shell else "another machine")
    return Found()
