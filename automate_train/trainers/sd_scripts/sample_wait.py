"""`should_wait_webui_process`: what the hook needs to know to wait for samples.

Covers: these keys of hook.json. Not: the waiting (`hook/hook_wait.py`), the sampling (`sampler`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...config.keys import unset
from ...records import Setting
from .value_types import is_on, number

LIMIT = 1800
"""Seconds that a training waits for the samples of one checkpoint."""


def settings(options: Mapping[str, Setting]) -> dict[str, Any]:
    """{} for a run that does not wait."""
    every = options.get("sample_opt")
    if not all(is_on(options.get(key)) for key in ("use_external_webui", "should_wait_webui_process")):
        return {}
    if every is not None and unset(every.value):
        return {}
    count = number(options["sample_num"].value) if "sample_num" in options else 1
    unit = "step" if every is not None and every.value == "step" else "epoch"
    return {"wait_for_samples": LIMIT, "sample_opt": unit, "sample_num": int(count or 1)}
