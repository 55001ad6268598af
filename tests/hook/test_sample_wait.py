"""A training that waits at a checkpoint for its samples, and goes on."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_hook import HOOK, Attempt, environment

from automate_train.config.sampling_options import SampleRule
from automate_train.records import Checkpoint
from automate_train.sampling.schedule import is_due

sys.path.insert(0, str(HOOK))
import hook_sample_wait

SCRIPT = """
    import sys, time
    from safetensors.torch import save_file
    from tensors import Tensor
    folder = sys.argv[1]
    for name in ("r-000001", "r-000002", "r"):
        began = time.monotonic()
        save_file({"a": Tensor(1.0)}, f"{folder}/{name}.safetensors")
        print(name, "waited" if time.monotonic() - began > 0.5 else "went on", flush=True)
"""


@pytest.fixture
def attempt(tmp_path: Path) -> Attempt:
    found = Attempt(tmp_path)
    (found.path / "output" / "sample").mkdir(parents=True)
    return found


def start(attempt: Attempt, limit: float, **more: object) -> subprocess.Popen[str]:
    output = attempt.path / "output"
    attempt.settings(output_dir=str(output), output_name="r", wait_for_samples=limit, **more)
    command = attempt.command(SCRIPT, str(output))
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment())


def test_it_goes_on_when_the_samples_are_final(attempt: Attempt) -> None:
    """Every second epoch, and the last; the event comes before the waiting, for it calls the sampler."""
    process = start(attempt, 60, sample_opt="epoch", sample_num=2)
    assert process.stdout is not None
    assert process.stdout.readline() == "r-000001 went on\n"
    for name in ("r-000002", "r"):
        deadline = time.monotonic() + 15
        while f"{name}.safetensors" not in (attempt.path / "events.jsonl").read_text():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        time.sleep(0.6)
        (attempt.path / "output" / "sample" / f"{name}.final").touch()
        assert process.stdout.readline() == f"{name} waited\n"
    assert process.wait(15) == 0 and attempt.of("trouble") == []


def test_it_does_not_wait_for_ever(attempt: Attempt) -> None:
    process = start(attempt, 0.7)
    assert process.communicate(timeout=30)[0].count("waited") == 3 and process.returncode == 0
    [trouble] = attempt.of("trouble")
    assert "samples of r-000001.safetensors were not final after 1 s" in trouble["error"]


@given(
    which=st.sampled_from(["epoch", "step", "last", "other"]),
    epoch=st.none() | st.integers(0, 40),
    step=st.none() | st.integers(0, 400),
    unit=st.sampled_from(["epoch", "step"]),
    count=st.integers(1, 20),
)
def test_the_hook_waits_where_the_sampler_samples(which, epoch, step, unit, count):
    ours = is_due(Checkpoint("x", which, epoch, step), SampleRule(unit, count))
    assert hook_sample_wait.is_due(which, epoch, step, unit, count) == ours


def test_it_says_what_it_waits_for_and_a_person_ends_it(attempt: Attempt) -> None:
    """As `training.loop` does after Ctrl-C; later checkpoints are not waited for either."""
    process = start(attempt, 60)
    deadline = time.monotonic() + 15
    while not (attempt.path / "events.jsonl").exists() or not attempt.of("waits"):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    (attempt.path / "output" / "sample" / ".go-on").touch()
    assert process.wait(15) == 0
    waits = attempt.of("waits")
    assert waits[0]["path"].endswith("r-000001.safetensors") and waits[0]["seconds"] == 60
    assert len(attempt.of("waited")) == len(waits) == 3
