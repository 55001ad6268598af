"""should_wait_webui_process in hook.json."""

from __future__ import annotations

import pytest

from automate_train.records import Setting, Source
from automate_train.trainers.sd_scripts import hook_files

ON = {"use_external_webui": True, "should_wait_webui_process": "true"}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, {}),
        ({"use_external_webui": True}, {}),
        ({"should_wait_webui_process": True}, {}),
        (ON, {"wait_for_samples": 1800, "sample_opt": "epoch", "sample_num": 1}),
        (
            {**ON, "sample_opt": "step", "sample_num": "50"},
            {"wait_for_samples": 1800, "sample_opt": "step", "sample_num": 50},
        ),
        ({**ON, "sample_opt": "None"}, {}),
        ({**ON, "sample_num": None}, {"wait_for_samples": 1800, "sample_opt": "epoch", "sample_num": 1}),
    ],
)
def test_who_waits_for_what(options, told):
    settings = {key: Setting(value, Source("default file"), key) for key, value in options.items()}
    assert hook_files.sample_wait(settings) == told
