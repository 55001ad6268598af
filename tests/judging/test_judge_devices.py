"""On which device the judge works: fake cards, real reservations."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from judge_kit import Sweep, wait_for
from machine_kit import FAKE

from automate_train.machine import lock, reservations


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sweep:
    made = Sweep(tmp_path / "home")
    cards = [{"name": "Fake 24", "uuid": f"GPU-{letter}", "free_gib": free} for letter, free in (("a", 4), ("b", 20))]
    (tmp_path / "nvml.json").write_text(json.dumps(cards))
    path = os.pathsep.join(filter(None, [str(FAKE), os.environ.get("PYTHONPATH")]))
    monkeypatch.setenv("PYTHONPATH", path)
    monkeypatch.setenv("FAKE_NVML", str(tmp_path / "nvml.json"))
    return made


def visible(sweep: Sweep) -> str:
    return (sweep.trainer / "visible").read_text()


def test_the_free_card_with_the_most_memory(sweep: Sweep):
    sweep.run(0.5, gpus=1)
    assert sweep.judge()[0] == 0 and visible(sweep) == "GPU-b"


def test_the_card_that_was_asked_for(sweep: Sweep):
    sweep.run(0.5, gpus=1)
    assert sweep.judge("--device", "0")[0] == 0 and visible(sweep) == "GPU-a"
    sweep.run(0.5, gpus=1)
    code, said = sweep.judge("--device", "7")
    assert code == 2 and "there is no device '7'" in said
    assert sweep.judge("--device", "1")[0] == 0 and visible(sweep) == "GPU-b"
    code, said = sweep.judge("--device", "7")
    assert code == 0, "nothing is left to measure"


def test_the_cpu_and_a_gpu_are_different_measures(sweep: Sweep):
    """They draw different noise from one seed, so their scores are not compared."""
    sweep.run(0.5, gpus=1)
    assert sweep.judge()[0] == 0 and sweep.judge("--cpu")[0] == 0 and visible(sweep) == ""
    assert len(sweep.lines()) == 8 and len({each.measure for each in sweep.scores()}) == 2
    abouts = [json.loads(file.read_text()) for file in sweep.folder.measure.glob("*/measure.json")]
    assert {each["defines"]["device"] for each in abouts} == {"CPU", "GPU"}


def test_a_device_that_is_not_there(sweep: Sweep):
    sweep.run(0.5, gpus=1)
    code, said = sweep.judge("--device", "7")
    assert code == 2 and "there is no device '7'" in said


def test_runs_that_trained_on_the_cpu_are_judged_there(sweep: Sweep):
    sweep.run(0.5)
    assert sweep.judge()[0] == 0 and visible(sweep) == ""


def test_a_card_that_others_use_is_waited_for_and_then_held(sweep: Sweep):
    sweep.run(*[0.5] * 5, gpus=1)
    taken = reservations.take(["GPU-a", "GPU-b"], Path("/data/theirs"))
    assert taken is not None
    process = sweep.start(FAKE_SECONDS="0.2")
    assert process.stdout is not None
    line = process.stdout.readline()
    assert "waits for a device" in line and "/data/theirs" in line and sweep.loads() == []
    os.close(taken)
    wait_for(lambda: sweep.folder.scores.exists())
    assert set(reservations.taken(["GPU-a", "GPU-b"])) == {"GPU-b"}
    process.kill()  # what it has started holds the card until it is gone
    process.communicate()
    wait_for(lambda: reservations.taken(["GPU-a", "GPU-b"]) == {})
    assert sweep.judge()[0] == 0 and len(sweep.lines()) == len(set(sweep.lines())) == 12


def test_a_typed_judge_does_not_keep_the_sweep_from_judging(sweep: Sweep):
    """It waits for the sweep's end, and the sweep for its own judge."""
    sweep.run(0.5, gpus=1)
    with lock.held(sweep.folder.lock):
        typed = sweep.start()
        assert typed.stdout is not None and "this sweep still trains" in typed.stdout.readline()
        code, said = sweep.judge("--follow", seconds=60)
        assert code == 0 and "judged 1 of 1 checkpoint" in said
    assert "judged 1 of 1 checkpoint" in typed.communicate(timeout=60)[0] and typed.returncode == 0
    assert len(sweep.lines()) == 4
