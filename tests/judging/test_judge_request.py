"""What the keys `held_out`, `judge` and `judge_device` say: whether the sweep judges, and on which device."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from machine_kit import FAKE

from automate_train.judging.process import JudgeRequest, judge_request
from automate_train.records import Setting, Source


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, None),
        ({"judge": "beside"}, None),
        ({"held_out": None, "judge": "after"}, None),
        ({"held_out": 4, "judge": "off"}, None),
        ({"held_out": 4, "judge": "after"}, JudgeRequest(False, "")),
        ({"held_out": 0.1, "judge": "beside", "judge_device": 1}, JudgeRequest(True, "1")),
    ],
)
def test_whether_the_sweep_judges(keys: dict[str, object], expected: JudgeRequest | None):
    settings = {name: Setting(value, Source("default file"), name) for name, value in keys.items()}
    assert judge_request(settings) == expected


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"judge": "beside"}, "needs a GPU of its own"),
        ({"judge": "beside", "judge_device": "0"}, "is one of the runs' devices"),
        ({"judge": "after", "judge_device": "9"}, "there is no device '9'"),
        ({"judge": "later"}, "judge: "),
        ({"judge": "beside", "judge_device": "1"}, ""),
        ({"judge": "after", "judge_device": "0"}, ""),
    ],
)
def test_a_judges_device_is_checked_before_anything_starts(
    automate_train, sweep_files, tmp_path: Path, keys: dict[str, object], says: str
):
    (tmp_path / "nvml.json").write_text(json.dumps([{"name": "Fake 24", "uuid": f"GPU-{letter}"} for letter in "ab"]))
    path = os.pathsep.join(filter(None, [str(FAKE), os.environ.get("PYTHONPATH")]))
    flags = [*sweep_files(["/bin/true"], **keys)[:4], "--cuda_devices_distributed", "0", "--dry-run"]
    done = automate_train(*flags, PYTHONPATH=path, FAKE_NVML=str(tmp_path / "nvml.json"))
    assert says in done.stderr and done.returncode == (2 if says else 0), done.stderr
