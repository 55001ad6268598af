"""How often a server runs out of work, how often it is asked, how servers share the work.

AUTOMATE_TRAIN_SLOW_PICTURES=1 takes half a second a picture, which takes minutes, and compares the seconds, too: those
of quick pictures would depend on what else the machine does."""

from __future__ import annotations

import os
import time
from itertools import pairwise
from pathlib import Path

import pytest
from sampler_kit import Sweep, assert_clean
from webui_kit import running, until

LONG = bool(os.environ.get("AUTOMATE_TRAIN_SLOW_PICTURES"))
SECONDS, CHECKPOINTS = (0.5, 10) if LONG else (0.15, 5)
PROMPTS = "".join(f"a cat number {number} --d {number}\n" for number in range(12))


def timed(sweep: Sweep) -> float:
    began = time.monotonic()
    code, said = sweep.sample(seconds=300)
    assert code == 0, said
    assert sweep.states() == {"done": 12 * CHECKPOINTS}
    return time.monotonic() - began


@pytest.mark.slow
def test_the_server_is_never_idle_and_seldom_asked(tmp_path: Path):
    with running(tmp_path / "server", seconds=SECONDS) as double:
        sweep = Sweep(tmp_path / "a", [double.url], PROMPTS)
        sweep.run("k0", epochs=CHECKPOINTS)
        took, log = timed(sweep), double.log()
        own = log["busy_seconds"]
        print(f"{took:.1f} s of which the server {own:.1f} s: {took / own:.3f}")
        assert log["ran_empty"] == 1 and (took < 1.15 * own or not LONG), "its queue is empty at the end alone"
        polls = [each["at"] for each in double.asked("/agent-scheduler/v1/queue")]
        assert all(later - first > 0.99 for first, later in zip(polls[2:], polls[4:], strict=False)), "2 a second"
        results = [each for each in double.log()["requests"] if each["path"].endswith("/results")]
        assert len(results) <= 12 * CHECKPOINTS * 1.1
        assert_clean(double)


def test_a_queue_that_does_not_move_is_asked_ever_less(tmp_path: Path):
    with running(tmp_path / "server", seconds=0.01, last_sleep=0.2) as double:
        double.control(paused=True)
        sweep = Sweep(tmp_path / "a", [double.url])
        sweep.run("k0", epochs=1)
        process = sweep.start()
        until(lambda: double.log()["tasks"])
        time.sleep(6)
        polls = [each["at"] for each in double.asked("/agent-scheduler/v1/queue")][1:]
        gaps = [later - first for first, later in pairwise(polls)]
        assert len(polls) <= 6 and gaps[-1] > 1.4 * min(gaps)
        double.control(paused=False, tasks=[{"prompt": "theirs"}])
        assert process.communicate(timeout=30) and process.returncode == 0


@pytest.mark.slow
def test_two_servers_share_the_work(tmp_path: Path):
    with running(tmp_path / "s1", seconds=SECONDS) as one, running(tmp_path / "s2", seconds=SECONDS) as two:
        sweep = Sweep(tmp_path / "a", [one.url, two.url], PROMPTS)
        sweep.run("k0", epochs=CHECKPOINTS + CHECKPOINTS % 2)
        sweep_checkpoints = CHECKPOINTS + CHECKPOINTS % 2
        began = time.monotonic()
        code, said = sweep.sample(seconds=300)
        took = time.monotonic() - began
        assert code == 0 and sweep.states() == {"done": 12 * sweep_checkpoints}, said
        alone = 12 * sweep_checkpoints * SECONDS
        print(f"{took:.1f} s, one alone {alone:.1f} s: {took / alone:.3f}")
        assert took < 0.6 * alone or not LONG
        for double in (one, two):
            drawn = len(double.log()["pictures"])
            assert double.log()["ran_empty"] == 1 and drawn >= 0.4 * 12 * sweep_checkpoints, drawn
            assert_clean(double)


def test_the_busy_server_gets_less(tmp_path: Path):
    """One of the two has many tasks of somebody else in its queue."""
    with running(tmp_path / "s1", seconds=0.05) as one, running(tmp_path / "s2", seconds=0.05) as two:
        one.control(tasks=[{"prompt": f"theirs {number}"} for number in range(160)])
        sweep = Sweep(tmp_path / "a", [one.url, two.url], "a cat\na dog\n")
        sweep.run("k0", epochs=8)
        assert sweep.sample()[0] == 0
        servers = [about["server"] for about in sweep.pictures().values()]
        assert len(servers) == 16 and servers.count(one.url) < servers.count(two.url), servers


def test_a_dead_server_gives_its_share_to_the_other(tmp_path: Path):
    with running(tmp_path / "s1", seconds=0.2) as one, running(tmp_path / "s2", seconds=0.2) as two:
        sweep = Sweep(tmp_path / "a", [one.url, two.url], "a cat\na dog\na cow\n")
        sweep.run("k0", epochs=4)
        process = sweep.start("--outage-limit", "1")
        until(lambda: len(one.log()["tasks"]) >= 3)
        one.kill()
        said = process.communicate(timeout=60)[0]
        assert process.returncode == 0 and sweep.states() == {"done": 12}, said
        assert "its samples go to the other servers" in said
        assert_clean(two)
        one.start()
        assert sweep.sample()[0] == 0  # nothing is left to draw, but the files there are ours
        assert_clean(one)
        assert [task for task in one.log()["tasks"] if task["status"] == "pending"] == []


def test_an_idle_server_does_not_wait_until_the_other_is_given_up(tmp_path: Path):
    """That would take ten minutes."""
    with running(tmp_path / "s1", seconds=0.5) as one, running(tmp_path / "s2", seconds=0.05) as two:
        sweep = Sweep(tmp_path / "a", [one.url, two.url], "a cat\na dog\na cow\n")
        sweep.run("k0", epochs=4)
        process = sweep.start()
        until(lambda: len(one.log()["tasks"]) >= 3)
        one.kill()
        said = process.communicate(timeout=60)[0]
        assert process.returncode == 0 and sweep.states() == {"done": 12}, said
        assert f"{one.url}: " in said and "of ours are left there" in said
        assert_clean(two)


def test_a_server_that_refuses_the_size_leaves_it_to_the_other(tmp_path: Path):
    quick = {"seconds": 0.01, "last_sleep": 0.2}
    with running(tmp_path / "s1", **quick) as one, running(tmp_path / "s2", **quick) as two:
        one.fault({"on": "POST /upload_lora_model", "what": "early", "status": 413, "times": -1})
        sweep = Sweep(tmp_path / "a", [one.url, two.url])
        sweep.run("k0", epochs=4)
        code, said = sweep.sample()
        assert code == 0 and {about["server"] for about in sweep.pictures().values()} == {two.url}, said
        assert "413" in said
