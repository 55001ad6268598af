"""Killed at any moment and started again: every picture of every checkpoint once."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
from judge_kit import Sweep

RUNS, CHECKPOINTS, PICTURES, KILLS = 4, 8, 3, 12


@pytest.mark.slow
def test_killed_at_random_moments(tmp_path: Path):
    rng = random.Random(3)
    sweep = Sweep(tmp_path / "home", PICTURES)
    for number in range(RUNS):
        sweep.run(*[0.1 * number] * CHECKPOINTS)
    killed = 0
    while killed < KILLS:
        process = sweep.start(FAKE_SECONDS="0.2")
        time.sleep(rng.uniform(0.05, 1.2))
        assert process.poll() is None, "more work is needed for so many kills"
        process.kill()
        process.communicate()
        killed += 1
    code, said = sweep.judge()
    assert code == 0, said
    assert len(sweep.lines()) == len(set(sweep.lines())) == (RUNS * CHECKPOINTS + 1) * PICTURES
