"""The orchestrator is killed at random moments of a sweep and started again until it is done; nothing is lost, nothing
is done twice. `FAULTS_SEED=n` plays other moments."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from ground import SEED, Ground, told


def killed_until_done(folder: Path, runs: int, seed: int, kills: int) -> Ground:
    """One sweep; at most `kills` kills, then it may end."""
    ground = Ground(folder, runs, seed)
    while ground.kills < kills and ground.strike(0.9) is not None:
        pass
    ground.finish()
    ground.check()
    return ground


@pytest.mark.slow
def test_kill_minus_nine(tmp_path: Path):
    ground = killed_until_done(tmp_path / "a", 16, SEED, 6)
    assert ground.kills >= 2


@pytest.mark.faults
def test_two_hundred_kills(tmp_path: Path):
    began, kills, sweeps = time.monotonic(), 0, 0
    while kills < 200:
        kills += killed_until_done(tmp_path / str(sweeps), 40, SEED + sweeps, 200 - kills).kills
        sweeps += 1
    told(f"{kills} SIGKILLs over {sweeps} sweeps of 40 runs, {time.monotonic() - began:.0f} s")


STOPS = [(signal.SIGTERM,), (signal.SIGINT,), (signal.SIGINT, signal.SIGINT), (signal.SIGHUP, signal.SIGKILL)]


@pytest.mark.parametrize(
    ("runs", "strikes"),
    [pytest.param(10, 4, marks=pytest.mark.slow), pytest.param(40, 60, marks=pytest.mark.faults)],
)
def test_every_signal(tmp_path: Path, runs: int, strikes: int):
    """What SIGTERM ends has not succeeded and is trained again; what a single Ctrl-C lets finish is not."""
    began, done, sweeps = time.monotonic(), 0, 0
    while done < strikes:
        ground, code = Ground(tmp_path / str(sweeps), runs, SEED + sweeps), 0
        sweeps += 1
        while code is not None and done < strikes:
            stop = STOPS[done % len(STOPS)]
            code = ground.strike(1.2, *stop)
            assert code in {None, 130, *(-number for number in stop)}, ground.words()
            done += code is not None
        ground.finish()
        ground.check(each_trained_once=False)
    told(f"{done} times TERM, INT, INT twice, or HUP and KILL, over {sweeps} sweeps of {runs} runs, "
         f"{time.monotonic() - began:.0f} s")  # fmt: skip


@pytest.mark.parametrize(
    ("runs", "rounds"),
    [pytest.param(8, 2, marks=pytest.mark.slow), pytest.param(40, 25, marks=pytest.mark.faults)],
)
def test_two_orchestrators_at_once(tmp_path: Path, runs: int, rounds: int):
    began, ground, refused = time.monotonic(), Ground(tmp_path, runs, SEED), 0
    for _ in range(rounds):
        two = [ground.start(), ground.start()]
        time.sleep(ground.random.uniform(0.1, 1.0))  # the moment is what varies; nothing is waited for
        for each in two:
            each.send_signal(signal.SIGKILL)
        codes = [each.wait(10) for each in two]
        refused += codes.count(2)
        assert set(codes) <= {0, 2, -9}, ground.words()
    two = [ground.start(), ground.start()]
    assert sorted(each.wait(120) for each in two) in ([0, 2], [0, 0]), ground.words()
    ground.finish()
    ground.check()
    assert "being run by pid" in ground.words() or not refused
    told(f"{ground.starts} orchestrators two at a time, {refused} refused, {time.monotonic() - began:.0f} s")


@pytest.mark.parametrize("victim", ["shell", "trainer", "both"])
@pytest.mark.parametrize(
    ("runs", "murders"),
    [pytest.param(8, 3, marks=pytest.mark.slow), pytest.param(40, 40, marks=pytest.mark.faults)],
)
def test_the_trainer_or_its_shell_is_killed(tmp_path: Path, victim: str, runs: int, murders: int):
    """While the orchestrator watches, and while it is dead."""
    began, ground, done = time.monotonic(), Ground(tmp_path, runs, SEED), 0
    deadline = time.monotonic() + 120
    while done < murders and time.monotonic() < deadline:
        process = ground.start()
        alone = ground.random.random() < 0.5
        while process.poll() is None and done < murders:
            if found := [each for each in ground.trainers() if each[1]]:
                if alone:
                    process.kill()
                shell, trainer, _ = ground.random.choice(found)
                for pid in {"shell": [shell], "trainer": [trainer], "both": [trainer, shell]}[victim]:
                    try:
                        os.kill(pid, signal.SIGKILL)
                        done += 1
                    except ProcessLookupError:
                        pass
            time.sleep(ground.random.uniform(0, 0.2))  # the moment is what varies
        process.kill()
        process.wait(10)
        if len(set(ground.lines("completed"))) == runs:
            break
    ground.finish(allowed=(1,), tries=3)
    ground.check(each_trained_once=False)
    told(f"{done} times the {victim} killed, {time.monotonic() - began:.0f} s")
