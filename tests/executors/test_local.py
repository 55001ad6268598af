"""What is particular to the local executor: groups, pids that are used again, signals, devices. The contract is in
`test_executor_contract`."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from automate_train.executors import local
from automate_train.executors.local import Local, child_environment
from automate_train.executors.protocol import Found
from automate_train.machine import processes
from automate_train.machine.gpus import Gpu
from automate_train.records import Launch
from automate_train.store.layout import AttemptFolder


def start(executor: Local, folder: Path, *argv: str) -> tuple[AttemptFolder, str]:
    attempt = AttemptFolder(folder)
    attempt.path.mkdir(parents=True)
    return attempt, executor.start(Launch(argv, os.getcwd()), attempt, ())


def ended(executor: Local, handle: str, seconds: float = 15) -> bool:
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        if handle in executor.wait(left):
            return True
    return False


def test_the_exit_code_is_written_even_when_the_whole_group_is_terminated(tmp_path: Path):
    executor = Local()
    attempt, handle = start(executor, tmp_path / "a", "/bin/sh", "-c", "echo ready; sleep 30")
    while not attempt.tail():
        time.sleep(0.01)
    executor.stop(handle, now=False)
    assert ended(executor, handle)
    assert attempt.read_exit_code() == 128 + signal.SIGTERM


def test_children_do_not_inherit_ignored_or_blocked_signals(tmp_path: Path):
    executor = Local()
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        code = "import signal; print(signal.getsignal(signal.SIGINT), signal.pthread_sigmask(0, []))"
        attempt, handle = start(executor, tmp_path / "a", sys.executable, "-c", code)
        assert ended(executor, handle)
    finally:
        signal.signal(signal.SIGINT, before)
    assert "default_int_handler" in attempt.tail()[0] and attempt.tail()[0].endswith("set()")


def test_a_pid_that_is_used_again_is_never_signalled(tmp_path: Path, monkeypatch):
    executor, me = Local(), processes.id_of(os.getpid())
    monkeypatch.setattr(processes, "signal_group", lambda *told: pytest.fail(f"signalled: {told}"))
    for other in (me._replace(ticks=me.ticks + 1), me._replace(boot="another"), me._replace(host="another")):
        executor.stop(" ".join(map(str, other)), now=True)
    for handle in (f"{me.pid}", "", "x y z", "-1 1 a b"):
        executor.stop(handle, now=True)


def test_a_group_that_was_seen_empty_is_never_signalled_again(tmp_path: Path, monkeypatch):
    executor = Local()
    attempt, handle = start(executor, tmp_path / "a", "/bin/true")
    assert ended(executor, handle) and executor.holders(handle, attempt, ()) == []
    monkeypatch.setattr(processes, "signal_group", lambda *told: pytest.fail(f"signalled: {told}"))
    executor.stop(handle, now=False)
    executor.stop(handle, now=True)


def test_what_has_left_the_group_holds_the_device_and_is_not_ours_to_end(tmp_path: Path, monkeypatch):
    """A worker that made a session of its own is known by its environment, and only where it has memory on a device."""
    executor = Local()
    code = "import subprocess; print(subprocess.Popen(['sleep', '30'], start_new_session=True).pid)"
    attempt, handle = start(executor, tmp_path / "attempt-1", sys.executable, "-c", code)
    assert ended(executor, handle)
    worker = int(attempt.tail()[0])
    card = Gpu(0, "GPU-a", "Fake", 24 << 30, 12 << 30, users=((worker, 12 << 30), (os.getpid(), 1 << 30)))
    monkeypatch.setattr(local.gpus, "snapshot", lambda: [card])
    try:
        assert executor.holders(handle, attempt, ["GPU-a"]) == [f"pid {worker}"]
        assert executor.holders(handle, attempt, ["GPU-b"]) == executor.holders(handle, attempt, []) == []
        assert executor.holders(handle, AttemptFolder(f"{attempt.path}0"), ["GPU-a"]) == [], "attempt-10 is another"
        executor.stop(handle, now=True)
        assert processes.process(worker)
    finally:
        os.kill(worker, signal.SIGKILL)


@pytest.mark.parametrize(("program", "is_ours"), [("exec env -i sleep 60", True), ("setsid env -i sleep 60", False)])
def test_what_hides_its_environment_lives_here_and_not_elsewhere(tmp_path: Path, program: str, is_ours: bool):
    """Shell and orchestrator were killed. A trainer with another environment (setproctitle overwrites it, too) is
    ended like any other; a daemon that left the group is left alone. Both have the exit code's file open."""
    attempt, handle = start(Local(), tmp_path / "p/run/attempt-1", "/bin/sh", "-c", f"{program}; exit 1")
    while not (found := [each for each in processes.processes() if _is_sleep_of(each.pid, attempt)]):
        time.sleep(0.01)
    group = int(handle.split()[0])
    if is_ours:
        os.kill(group, signal.SIGKILL)
    else:
        os.killpg(group, signal.SIGKILL)
    while (shell := processes.process(group)) and shell.alive:
        time.sleep(0.01)
    try:
        assert Local().recover(tmp_path / "p", [(attempt, handle)]).attempts == [Found()]
        now = processes.process(found[0].pid)
        assert (now is not None and now.alive) is not is_ours
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(found[0].pid, signal.SIGKILL)


def _is_sleep_of(pid: int, attempt: AttemptFolder) -> bool:
    with contextlib.suppress(OSError):
        is_ours = os.readlink(f"/proc/{pid}/fd/3") == str(attempt.exit_code)
        return is_ours and processes.command_line(pid) == ["sleep", "60"]
    return False


def test_what_lives_on_another_machine_is_neither_adopted_nor_lost(tmp_path: Path, monkeypatch):
    """Two machines share the disk: the handle is of the other one, and only the lock on the exit code is seen."""
    executor = Local()
    folder, handle = start(executor, tmp_path / "run/attempt-1", "/bin/sleep", "60")
    with monkeypatch.context() as patched:
        patched.setattr(processes, "with_variable", lambda *told: iter(()))
        host = handle.split(" ")[-1]
        elsewhere = handle.removesuffix(host) + "elsewhere"
        assert executor.recover(tmp_path, [(folder, elsewhere)]).attempts == [Found(elsewhere="elsewhere")]
    executor.stop(handle, now=True)
    assert ended(executor, handle)
    assert executor.recover(tmp_path, [(folder, elsewhere)]).attempts == [Found()]


def test_on_a_full_disk_the_executor_still_knows_the_exit_code(tmp_path: Path):
    executor, folder = Local(), tmp_path / "run/attempt-1"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        attempt, handle = start(executor, folder, "/bin/sh", "-c", "exit 9")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    deadline, told = time.monotonic() + 15, {}
    while not told and time.monotonic() < deadline:
        told = executor.wait(deadline - time.monotonic())
    assert told == {handle: 9} and attempt.read_exit_code() is None


def test_devices_reach_the_child_in_bus_order():
    environment = child_environment(os.environ, Launch(("x",), "/", gpus=2), ("GPU-1", "GPU-2"))
    assert (environment["CUDA_VISIBLE_DEVICES"], environment["CUDA_DEVICE_ORDER"]) == ("GPU-1,GPU-2", "PCI_BUS_ID")
    assert "CUDA_DEVICE_ORDER" not in child_environment({}, Launch(("x",), "/"), ())


def test_an_exit_code_without_its_newline_is_none_yet(tmp_path: Path):
    folder = AttemptFolder(tmp_path)
    assert folder.read_exit_code() is None
    folder.exit_code.write_text("1")
    assert folder.read_exit_code() is None
    folder.exit_code.write_text("137\n")
    assert folder.read_exit_code() == 137


HEIR = """
import ctypes, os, sys, time
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: orphans are ours, as a container's first process's
leader = os.fork()
if not leader:
    os.setsid()
    if not os.fork():
        sys.stdin.read()  # the orphan lives until the test closes the pipe
    os._exit(0)
os.waitpid(leader, 0)
print(leader, flush=True)
time.sleep(60)  # and never reaps it
"""


def test_the_dead_that_nobody_reaps_are_no_members():
    with subprocess.Popen([sys.executable, "-c", HEIR], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as heir:
        try:
            assert heir.stdin and heir.stdout
            group = int(heir.stdout.readline())
            assert processes.group_members(group)
            heir.stdin.close()
            deadline = time.monotonic() + 5
            while processes.group_members(group):
                assert time.monotonic() < deadline
            os.killpg(group, 0)  # as a zombie it is still there
        finally:
            heir.kill()
