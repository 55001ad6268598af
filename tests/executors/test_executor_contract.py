"""What every executor must do, tried with real programs against each there is (`EXECUTORS`)."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from slurm_kit import one_node

from automate_train.errors import RunError
from automate_train.executors.local import Local
from automate_train.executors.protocol import Executor, Found, Recovered
from automate_train.executors.slurm import Slurm
from automate_train.machine import processes
from automate_train.records import Launch
from automate_train.store.layout import AttemptFolder

EXECUTORS = {
    "local": "automate_train.executors.local.Local()",
    "slurm": "automate_train.executors.slurm.Slurm(ask_seconds=0.3)",
}
"""Name -> the expression that makes one, here and in a process that is killed."""
SH = ("/bin/sh", "-c")


def make(name: str) -> Executor:
    return Local() if name == "local" else Slurm(ask_seconds=0.3)


@pytest.fixture(params=EXECUTORS, scope="module")
def name(request) -> Iterator[str]:
    if request.param == "local":
        yield request.param
        return
    with one_node():
        yield request.param


@pytest.fixture
def executor(name, tmp_path) -> Iterator[Executor]:
    """What an attempt has left behind at the test's end is ended."""
    yield make(name)
    make(name).recover(tmp_path, [])


def attempt(tmp_path: Path, run: str = "run") -> AttemptFolder:
    folder = AttemptFolder(tmp_path / run / "attempt-1")
    folder.path.mkdir(parents=True)
    return folder


def launch(*argv: str, cwd: str | Path = "/", **options: object) -> Launch:
    return Launch(argv, str(cwd), **options)  # type: ignore[arg-type]


def python(code: str) -> Launch:
    return launch(sys.executable, "-c", textwrap.dedent(code))


def until(fact: Callable[[], object], seconds: float = 15) -> object:
    deadline = time.monotonic() + seconds
    while not (found := fact()):
        assert time.monotonic() < deadline, "it never became true"
        time.sleep(0.01)
    return found


def ended(executor: Executor, handle: str, seconds: float = 15) -> bool:
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        if handle in executor.wait(left):
            return True
    return False


def test_an_attempt_ends_with_its_exit_code_and_console_in_its_folder(executor, tmp_path):
    folder = attempt(tmp_path)
    code = "import os, sys; print('out', os.environ['A']); print('err', file=sys.stderr); sys.exit(7)"
    handle = executor.start(launch(sys.executable, "-c", code, env={"A": "b"}), folder, ())
    assert isinstance(handle, str) and handle and "\n" not in handle
    assert ended(executor, handle)
    assert folder.read_exit_code() == 7
    assert sorted(folder.tail()) == ["err", "out b"]
    assert executor.living(tmp_path) == {} and executor.holders(handle, folder, ()) == []


def test_each_end_is_told_once(executor, tmp_path):
    folders = [attempt(tmp_path, str(number)) for number in range(5)]
    handles = [executor.start(launch(*SH, f"exit {number}"), folder, ()) for number, folder in enumerate(folders)]
    told: list[str] = []
    until(lambda: told.extend(executor.wait(0.1)) or len(told) >= 5)
    assert sorted(told) == sorted(handles) and executor.wait(0.1) == {}
    assert [folder.read_exit_code() for folder in folders] == [0, 1, 2, 3, 4]


def test_arguments_arrive_as_they_are(executor, tmp_path):
    nasty = ["$(touch owned)", "; exit 3", "a b", "*", "-n", "--", "'\"\\", "\n", "%s", "{}", "é한글"]
    folder = attempt(tmp_path)
    code = "import sys; open('seen', 'w', encoding='utf-8').write(repr(sys.argv[1:]))"
    assert ended(executor, executor.start(launch(sys.executable, "-c", code, *nasty, cwd=tmp_path), folder, ()))
    assert (tmp_path / "seen").read_text(encoding="utf-8") == repr(nasty)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "seen"]


def test_secrets_reach_the_environment_and_nothing_else(executor, tmp_path):
    folder = attempt(tmp_path)
    made = launch(*SH, 'echo "$TOKEN" >seen; tr "\\0" " " <"/proc/$$/cmdline"', cwd=tmp_path, secrets={"TOKEN": "s3cr"})
    assert ended(executor, executor.start(made, folder, ()))
    assert (tmp_path / "seen").read_text() == "s3cr\n"
    assert not [path for path in folder.path.rglob("*") if path.is_file() and b"s3cr" in path.read_bytes()]


def test_a_working_folder_that_is_missing_is_a_failure_with_an_exit_code(executor, tmp_path):
    folder = attempt(tmp_path)
    assert ended(executor, executor.start(launch("/bin/true", cwd=tmp_path / "gone"), folder, ()))
    assert folder.read_exit_code() not in (0, None) and "gone" in "".join(folder.tail())


def test_what_cannot_be_started_is_said(executor, tmp_path):
    with pytest.raises(RunError, match="could not be started"):
        executor.start(launch("/bin/true", "a\0b"), attempt(tmp_path), ())


def test_wait_returns_when_its_time_is_over_or_somebody_calls(executor, tmp_path):
    folder = attempt(tmp_path)
    handle = executor.start(launch("/bin/sleep", "60"), folder, ())
    assert executor.wait(0.05) == {}
    read_end, write_end = os.pipe()
    os.write(write_end, b"x")
    began = time.monotonic()
    assert executor.wait(30, [read_end]) == {} and time.monotonic() - began < 10
    os.close(read_end)
    os.close(write_end)
    executor.stop(handle, now=True)
    assert ended(executor, handle), "a descriptor that was closed since is forgotten"


def test_stopped_politely_it_may_tidy_up_and_the_exit_code_is_written(executor, tmp_path):
    folder = attempt(tmp_path)
    code = "trap 'echo tidied; exit 3' TERM; echo ready; while :; do sleep 0.05; done"
    handle = executor.start(launch(*SH, code), folder, ())
    until(lambda: "ready" in folder.tail())
    executor.stop(handle, now=False)
    assert ended(executor, handle)
    assert folder.read_exit_code() == 3 and "tidied" in folder.tail()


def test_stopped_by_force_it_ends_whatever_it_does(executor, tmp_path):
    folder = attempt(tmp_path)
    handle = executor.start(launch(*SH, "trap '' TERM; echo ready; while :; do sleep 0.05; done"), folder, ())
    until(lambda: "ready" in folder.tail())
    executor.stop(handle, now=False)
    assert executor.wait(0.3) == {}, "it ignores the polite way"
    executor.stop(handle, now=True)
    assert ended(executor, handle)
    until(lambda: not executor.holders(handle, folder, ()))
    executor.stop(handle, now=True)
    executor.stop(handle, now=False)


def test_workers_that_outlive_the_trainer_hold_its_devices_until_they_are_ended(executor, tmp_path):
    """An engine that places the runs gives the devices back itself, and ends the workers."""
    folder = attempt(tmp_path)
    code = "import subprocess; print(subprocess.Popen(['sleep', '60']).pid)"
    handle = executor.start(python(code), folder, ())
    assert ended(executor, handle) and folder.read_exit_code() == 0
    if executor.capacity() is None:
        until(lambda: not lives(int(folder.tail()[0])))
        return
    assert executor.holders(handle, folder, ())
    executor.stop(handle, now=False)
    until(lambda: not executor.holders(handle, folder, ()))


def test_an_attempt_is_found_by_its_handle_and_without_one(executor, name, tmp_path):
    folder, other = attempt(tmp_path), attempt(tmp_path, "other")
    handle = executor.start(launch("/bin/sleep", "60"), folder, ())
    somebody_else = make(name)
    asked = [(folder, handle), (folder, ""), (other, ""), (other, "nonsense")]
    assert somebody_else.living(tmp_path) == {str(folder.path): handle}
    assert somebody_else.recover(tmp_path, asked).attempts == [Found(handle), Found(handle), Found(), Found()]
    assert executor.describe(handle)
    executor.stop(handle, now=True)
    assert ended(executor, handle) and somebody_else.recover(tmp_path, asked[:2]).attempts == [Found(), Found()]


KILLED = """
import os, sys
import automate_train.executors.local, automate_train.executors.slurm
from automate_train.machine import processes
from automate_train.records import Launch
from automate_train.store.layout import AttemptFolder
executor = {executor}
for folder, code in zip(sys.argv[1::2], sys.argv[2::2]):
    os.makedirs(folder)
    print(executor.start(Launch(("/bin/sh", "-c", code), "/"), AttemptFolder(folder), ()), flush=True)
os.kill(os.getpid(), 9)
"""


def killed_orchestrator(name: str, *started: str | Path) -> list[str]:
    """The handles of what an orchestrator has started before it was killed: folder, shell program, and so on."""
    code = KILLED.format(executor=EXECUTORS[name])
    done = subprocess.run([sys.executable, "-c", code, *map(str, started)], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    return done.stdout.splitlines()


def test_after_a_kill_what_runs_is_adopted_and_what_ended_is_not(executor, name, tmp_path):
    paths = [tmp_path / run / "attempt-1" for run in ("goes-on", "ended", "untold", "never-began")]
    going = f"until [ -e {tmp_path}/go ]; do sleep 0.02; done; exit 5"
    handles = killed_orchestrator(name, paths[0], going, paths[1], "exit 4", paths[2], going)
    folders = [AttemptFolder(path) for path in paths]
    until(lambda: folders[1].read_exit_code() == 4)
    found = executor.recover(tmp_path, list(zip(folders, [handles[0], handles[1], "", ""], strict=True)))
    assert found == Recovered([Found(handles[0]), Found(), Found(handles[2]), Found()], [])
    (tmp_path / "go").touch()
    told: list[str] = []
    until(lambda: told.extend(executor.wait(0.1)) or len(told) >= 2)
    assert set(told) == {handles[0], handles[2]}
    assert [folder.read_exit_code() for folder in folders] == [5, 4, 5, None]


def test_leftovers_are_gone_when_recover_returns(tmp_path):
    """A trainer whose shell was killed: nobody could tell how it ends. And a worker of a run that has ended. An engine
    keeps the processes of a job together itself."""
    executor, name = Local(), "local"
    trainer, worker = tmp_path / "trainer/attempt-1", tmp_path / "worker/attempt-1"
    stay = "trap '' TERM; sleep 60"
    killed_orchestrator(name, trainer, f"echo $$ >{tmp_path}/trainer-pid; {stay}",
                        worker, f"({stay}) & echo $! >{tmp_path}/worker-pid")  # fmt: skip
    pids = [int(str(until(lambda file=file: file.exists() and file.read_text().strip()))) for file in
            (tmp_path / "trainer-pid", tmp_path / "worker-pid")]  # fmt: skip
    os.kill(shell := int(Path(f"/proc/{pids[0]}/stat").read_text().rpartition(")")[2].split()[1]), signal.SIGKILL)
    until(lambda: AttemptFolder(worker).read_exit_code() == 0 and not lives(shell))
    assert executor.recover(tmp_path, [(AttemptFolder(trainer), ""), (AttemptFolder(worker), "")]) == Recovered(
        [Found(), Found()], []
    )
    assert not any(lives(pid) for pid in pids)


def test_a_trainer_whose_folder_was_deleted_is_ended_and_its_end_is_nobody_elses(executor, name, tmp_path):
    """The sweep's folder was deleted by hand while its orchestrator was dead, and the same run is started again."""
    path = tmp_path / "run" / "attempt-1"
    old = f"trap '' TERM; echo $$ >{tmp_path}/pid; until [ -e {tmp_path}/go ]; do sleep 0.02; done"
    killed_orchestrator(name, path, old)
    pid = int(str(until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip())))
    shutil.rmtree(tmp_path / "run")
    folder = attempt(tmp_path)
    again = make(name)  # as if nothing had been looked for
    new = again.start(launch("/bin/sleep", "60"), folder, ())
    (tmp_path / "go").touch()
    until(lambda: not lives(pid))
    assert again.wait(0.2) == {} and folder.read_exit_code() is None
    again.stop(new, now=True)
    assert ended(again, new)
    (tmp_path / "go").unlink()
    (tmp_path / "pid").unlink()
    shutil.rmtree(tmp_path / "run")
    killed_orchestrator(name, path, old)
    pid = int(str(until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip())))
    shutil.rmtree(tmp_path / "run")
    assert executor.recover(tmp_path, []) == Recovered([], [])
    assert not lives(pid), "it would share the devices with the new attempt"


def test_where_nothing_waits_in_a_queue_nothing_is_taken_out_of_it(executor, tmp_path):
    folder = attempt(tmp_path)
    handle = executor.start(launch(*SH, "echo ready; sleep 60"), folder, ())
    until(lambda: executor.wait(0.1) or "ready" in folder.tail())
    until(lambda: not executor.wait(0.1) and not executor.waiting())
    executor.withdraw(handle)
    assert executor.wait(1) == {} and folder.read_exit_code() is None, "it has begun"
    executor.stop(handle, now=True)
    assert ended(executor, handle) and executor.went_on(handle) is None


def test_nothing_outside_of_the_sweep_is_signalled(executor, name, tmp_path):
    """Not what a person started by hand in an attempt's folder, not another sweep, not we."""
    other = tmp_path / "other" / "run" / "attempt-1"
    (handle,) = killed_orchestrator(name, other, "sleep 60")
    inside = tmp_path / "sweep" / "run" / "attempt-1"
    inside.mkdir(parents=True)
    with subprocess.Popen(["/bin/sleep", "60"], cwd=inside) as by_hand:
        try:
            for pid in ("0", "1", "-1", str(os.getpgrp()), str(os.getppid()), str(by_hand.pid), "x", "9" * 30):
                told = f"{pid} 1 {processes.boot_id()} {os.uname().nodename}"
                found = executor.recover(tmp_path / "sweep", [(AttemptFolder(inside), told)])
                assert found == Recovered([Found()], [])
                for now in (False, True):
                    executor.stop(told, now)
                    executor.stop("", now)
            assert executor.holders(told, AttemptFolder(inside), ()) == []
            assert by_hand.poll() is None and executor.living(tmp_path / "other") == {str(other): handle}
        finally:
            by_hand.kill()
    executor.stop(handle, now=True)


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
