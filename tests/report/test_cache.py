"""What is kept between two reports."""

from __future__ import annotations

import os
import time
from pathlib import Path

from report_kit import Sweep, data_of


def test_finished_runs_are_not_read_again_and_new_pictures_are_seen(tmp_path: Path):
    sweep = Sweep(tmp_path)
    (run,) = sweep.runs()
    attempt = sweep.begin(run, epochs=1)
    samples, old = attempt / "output" / "sample", time.time() - 60
    os.utime(samples, (old, old))
    sweep.build()
    (samples / "x-000001_00.json").write_text("{}")  # in place: nobody does this, so it is not seen
    os.utime(samples, (old, old))
    assert len(data_of(sweep.build().path)["runs"][0]["pictures"]["checkpoint"]) == 1
    sweep.picture(attempt, 0, 2, 0, "a boat")
    assert data_of(sweep.build().path)["checkpoints"] == [2]
