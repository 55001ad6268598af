"""Runs attempts as process groups on this machine.

Covers: start (posix_spawn of a small shell that waits for the trainer and writes its exit code), adoption of attempts
that an earlier orchestrator started, waiting on pidfds (an event, no timer), signals to whole groups.
Not: which attempt starts where (`placement`), what an exit code means (`trainers/*`).
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path

from ..errors import RunError
from ..records import Launch
from ..store.layout import AttemptFolder

Handle = tuple[int, int, str]
ATTEMPT = "AUTOMATE_TRAIN_ATTEMPT"
"""In the environment of every process of an attempt: its folder."""

# A fixed program: every value reaches it as an argument, none as text of the program. The traps keep the shell alive
# until the trainer has ended (a trapped signal is reset to its default in the trainer): the exit code is written even
# when the whole group is signalled. Everything but the trainer itself is built into the shell: no further process.
SHIM = """trap : HUP INT TERM; echo $$ >"$1"; code=$2; cd -- "$3" && { shift 3; "$@"; }; echo $? >"$code" """


class Local:
    """The attempts of this machine that we started or adopted; one object a sweep."""

    def __init__(self) -> None:
        self._pidfds: dict[int, Handle] = {}
        self._blind: set[Handle] = set()
        """Handles without a pidfd (a kernel older than 5.3): looked at five times a second."""
        self._drained: set[int] = set()
        self._poll = select.poll()
        self._boot = boot_id()
        self._environment = dict(os.environ)

    def watch(self, fd: int, *, drain: bool = False) -> None:
        """Let `wait` return when `fd` becomes readable (the sampler's output); `drain`: and empty it, for what it says
        is only that something happened (the signals' wake-up pipe)."""
        self._poll.register(fd, select.POLLIN)
        if drain:
            self._drained.add(fd)

    def unwatch(self, fd: int) -> None:
        self._poll.unregister(fd)

    def start(self, launch: Launch, folder: AttemptFolder, devices: tuple[str, ...]) -> Handle:
        """Start the trainer in its own session; `RunError` when the system refuses."""
        env = {**child_environment(self._environment, launch, devices), ATTEMPT: str(folder.path)}
        console, places = str(folder.console), (str(folder.pid), str(folder.exit_code), launch.cwd)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        try:
            pid = os.posix_spawn(
                "/bin/sh",
                ("sh", "-c", SHIM, "sh", *places, *launch.argv),
                env,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 1, console, flags, 0o666),
                    (os.POSIX_SPAWN_DUP2, 1, 2),
                ],
                setsid=True,
                # A parent that ignores SIGINT (a background job of a shell) must not hand that on.
                setsigdef=[signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE],
                setsigmask=[],
            )
        except (OSError, ValueError) as error:
            raise RunError(f"could not be started: {error}") from error
        handle = (pid, start_ticks(pid), self._boot)
        self.adopt(handle)
        return handle

    def adopt(self, handle: Handle) -> None:
        try:
            fd = os.pidfd_open(handle[0])
        except (AttributeError, OSError):
            self._blind.add(handle)
            return
        self._pidfds[fd] = handle
        self._poll.register(fd, select.POLLIN)

    def wait(self, seconds: float | None) -> list[Handle]:
        """Block until an attempt ends, a watched descriptor speaks or the time is over; returns the ended ones."""
        if self._blind:
            seconds = min(0.2, seconds if seconds is not None else 0.2)
        ready = self._poll.poll(None if seconds is None else max(0, seconds) * 1000)
        ended = []
        for fd, _ in ready:
            if fd in self._drained:
                os.read(fd, 4096)
            if handle := self._pidfds.pop(fd, None):
                self._poll.unregister(fd)
                os.close(fd)
                ended.append(handle)
        for handle in [each for each in self._blind if not alive(each)]:
            self._blind.discard(handle)
            ended.append(handle)
        for handle in ended:
            with contextlib.suppress(ChildProcessError):  # adopted: init reaps it
                os.waitpid(handle[0], 0)
        return ended

    def stop(self, handle: Handle, number: int = signal.SIGTERM) -> None:
        """Signal the whole group (the trainer's workers too)."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(handle[0], number)

    def find(self, folder: AttemptFolder, handle: Handle) -> Handle | None:
        """The live shell of an attempt whose orchestrator is gone: by its handle, or, when the orchestrator was killed
        before it could write that down, by the pid file and the attempt's path on the command line."""
        if alive(handle):
            return handle
        return self.shell(folder, folder.read_pid())

    def shell(self, folder: AttemptFolder, pid: int) -> Handle | None:
        """The handle of a process if it is the attempt's shell."""
        try:
            line = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return None
        found = (pid, start_ticks(pid), self._boot)
        return found if os.fsencode(folder.exit_code) in line.split(b"\0") and alive(found) else None

    def members(self, sweep: Path) -> dict[str, list[tuple[int, int]]]:
        """(pid, process group) of every process that an attempt of the sweep has started and that lives, by the real
        path of the attempt's folder. Whoever holds the sweep's lock sees all of them: a process that is being started
        holds the lock with its orchestrator until its environment is there to be read."""
        found: dict[str, list[tuple[int, int]]] = {}
        home, entry = os.path.realpath(sweep) + os.sep, ATTEMPT.encode() + b"="
        for pid, state, group in _processes():
            try:
                pairs = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0") if state not in DEAD else []
            except OSError:
                continue  # gone, or of another user
            for pair in pairs:
                if pair.startswith(entry):
                    folder = os.path.realpath(os.fsdecode(pair[len(entry) :]))
                    if folder.startswith(home):
                        found.setdefault(folder, []).append((pid, group))
        return found

    def lingers(self, handle: Handle) -> bool:
        """Whether something of the group outlives its leader. A group's number is not reused while it has members."""
        with contextlib.suppress(ChildProcessError):  # as a container's first process we are the heir of orphans
            while os.waitpid(-handle[0], os.WNOHANG)[0]:
                pass
        try:
            os.killpg(handle[0], 0)
        except (ProcessLookupError, PermissionError):
            return False
        # Dead ones that nobody reaps (a container without an init) hold no device.
        return any(group == handle[0] and state not in DEAD for _, state, group in _processes())


def child_environment(inherited: Mapping[str, str], launch: Launch, devices: tuple[str, ...]) -> dict[str, str]:
    """The inherited environment, the launch's own, and the devices it may see."""
    env = {**inherited, **launch.env, **launch.secrets}
    if launch.gpus:
        env["CUDA_VISIBLE_DEVICES"] = ",".join(devices)
        env["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
    return env


def alive(handle: Handle) -> bool:
    pid, ticks, boot = handle
    return boot == boot_id() and pid > 0 and start_ticks(pid) == ticks != 0


def start_ticks(pid: int) -> int:
    """When a process started, in clock ticks since boot (proc(5), stat, field 22); 0 when it is gone or a zombie."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            fields = file.read(1024).rpartition(b")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] == b"Z" else int(fields[19])


DEAD = (b"Z", b"X")


def _processes() -> Iterator[tuple[int, bytes, int]]:
    """(pid, state, process group) of every process."""
    for name in filter(str.isdecimal, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb", buffering=0) as file:
            fields = file.read(1024).rpartition(b")")[2].split()
            yield int(name), fields[0], int(fields[2])


def boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "unknown"
