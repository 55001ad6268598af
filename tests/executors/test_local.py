"""The local executor with real processes: start, exit code, groups, adoption."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from automate_train.errors import RunError
from automate_train.executors.local import Local, alive, child_environment
from automate_train.records import Launch
from automate_train.store.layout import AttemptFolder


def launch(*argv: str, **options: object) -> Launch:
    return Launch(argv, os.getcwd(), **options)  # type: ignore[arg-type]


def start(executor: Local, folder: AttemptFolder, made: Launch, devices: tuple[str, ...] = ()):
    folder.write(made)
    return executor.start(made, folder, devices)


def ended(executor: Local, handle: tuple[int, int, str], seconds: float = 5) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if handle in executor.wait(deadline - time.monotonic()):
            return True
    return False


def test_exit_code_console_and_environment(tmp_path: Path):
    folder, executor = AttemptFolder(tmp_path / "run" / "attempt-1"), Local()
    code = "import os, sys; print('out', os.environ['A']); print('err', file=sys.stderr); sys.exit(7)"
    handle = start(executor, folder, launch(sys.executable, "-c", code, env={"A": "b"}))
    assert ended(executor, handle)
    assert folder.read_exit_code() == 7
    assert sorted(folder.tail()) == ["err", "out b"]
    assert not alive(handle)


def test_arguments_arrive_as_they_are(tmp_path: Path):
    nasty = ["$(touch owned)", "; exit 3", "a b", "*", "-n", "--", "'\"\\", "\n", "%s", "{}", "é한글"]
    folder, executor = AttemptFolder(tmp_path / "a"), Local()
    code = "import sys; open('seen', 'w', encoding='utf-8').write(repr(sys.argv[1:]))"
    made = Launch((sys.executable, "-c", code, *nasty), str(tmp_path))
    assert ended(executor, start(executor, folder, made))
    assert (tmp_path / "seen").read_text(encoding="utf-8") == repr(nasty)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "seen"]


def test_a_missing_working_folder_is_a_failure_with_an_exit_code(tmp_path: Path):
    folder, executor = AttemptFolder(tmp_path / "a"), Local()
    assert ended(executor, start(executor, folder, Launch(("/bin/true",), str(tmp_path / "gone"))))
    assert folder.read_exit_code() not in (0, None)
    assert "gone" in "".join(folder.tail())


def test_the_exit_code_is_written_even_when_the_whole_group_is_terminated(tmp_path: Path):
    folder, executor = AttemptFolder(tmp_path / "a"), Local()
    handle = start(executor, folder, launch("/bin/sleep", "30"))
    time.sleep(0.1)
    executor.stop(handle, signal.SIGTERM)
    assert ended(executor, handle)
    assert folder.read_exit_code() == 128 + signal.SIGTERM


def test_children_do_not_inherit_ignored_or_blocked_signals(tmp_path: Path):
    folder, executor = AttemptFolder(tmp_path / "a"), Local()
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        code = "import signal; print(signal.getsignal(signal.SIGINT), signal.pthread_sigmask(0, []))"
        assert ended(executor, start(executor, folder, launch(sys.executable, "-c", code)))
    finally:
        signal.signal(signal.SIGINT, before)
    assert "default_int_handler" in folder.tail()[0] and folder.tail()[0].endswith("set()")


def test_workers_that_outlive_the_trainer_are_seen_and_ended(tmp_path: Path):
    folder, executor = AttemptFolder(tmp_path / "a"), Local()
    code = "import subprocess; subprocess.Popen(['sleep', '30'])"
    handle = start(executor, folder, launch(sys.executable, "-c", code))
    assert ended(executor, handle)
    assert executor.lingers(handle)
    executor.stop(handle, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while executor.lingers(handle) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not executor.lingers(handle)


def test_a_program_that_cannot_be_started(tmp_path: Path):
    folder, executor = AttemptFolder(tmp_path / "a"), Local()
    with pytest.raises(RunError, match="could not be started"):
        start(executor, folder, launch("/bin/true", "a\0b"))


ORCHESTRATOR = """
import os, sys
from automate_train.executors.local import Local
from automate_train.store.layout import AttemptFolder
from automate_train.records import Launch
folder = AttemptFolder(sys.argv[1])
made = Launch(("/bin/sh", "-c", "sleep 0.6; exit 5"), os.getcwd())
folder.write(made)
print(*Local().start(made, folder, ()), flush=True)
os.kill(os.getpid(), 9)
"""


def test_an_attempt_of_a_killed_orchestrator_is_adopted(tmp_path: Path):
    done = subprocess.run([sys.executable, "-c", ORCHESTRATOR, tmp_path / "a"], capture_output=True, text=True)
    pid, ticks, boot = done.stdout.split()
    folder, executor = AttemptFolder(tmp_path / "a"), Local()
    handle = (int(pid), int(ticks), boot)
    assert executor.find(folder, handle) == handle
    assert executor.find(folder, (0, 0, "")) == handle, "found by its pid file when the handle was never written down"
    assert executor.find(AttemptFolder(tmp_path / "other"), (0, 0, "")) is None
    executor.adopt(handle)
    assert ended(executor, handle)
    assert folder.read_exit_code() == 5
    assert executor.find(folder, handle) is None


def test_a_reused_pid_is_nobody(tmp_path: Path):
    executor = Local()
    me = (os.getpid(), 12345, Path("/proc/sys/kernel/random/boot_id").read_text().strip())
    assert executor.find(AttemptFolder(tmp_path), me) is None
    assert not alive((os.getpid(), me[1], "another boot"))


def test_devices_reach_the_child_in_bus_order():
    env = child_environment(os.environ, Launch(("x",), "/", gpus=2), ("GPU-1", "GPU-2"))
    assert (env["CUDA_VISIBLE_DEVICES"], env["CUDA_DEVICE_ORDER"]) == ("GPU-1,GPU-2", "PCI_BUS_ID")
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


def test_the_dead_that_nobody_reaps_do_not_linger():
    with subprocess.Popen([sys.executable, "-c", HEIR], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as heir:
        try:
            assert heir.stdin and heir.stdout
            handle = (int(heir.stdout.readline()), 1, "boot")
            assert Local().lingers(handle)
            heir.stdin.close()
            deadline = time.monotonic() + 5
            while Local().lingers(handle):
                assert time.monotonic() < deadline
            os.killpg(handle[0], 0)  # as a zombie it is still there
        finally:
            heir.kill()
