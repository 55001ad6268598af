"""The hook's part of a launch: its sources, which travel with the attempt, and hook.json.

Covers: all files of the hook, for runs that have it; what it must know of the run. Not: what the hook does (`hook`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from ...config.sampling_options import on_webui, sample_rule
from ...config.values import on
from ...records import Resume, Run, Setting, SweepContext
from ...store.layout import AttemptFolder
from . import trackers
from .resolve import Resolved
from .value_types import Table, Values

HOOK = Path(__file__).parents[2] / "hook"
SAMPLE_WAIT = 1800
"""Seconds that a training waits for the samples of one checkpoint."""


def files(
    run: Run, resolved: Resolved, training: Values, path: Path, context: SweepContext, resume: Resume | None
) -> dict[str, str]:
    settings = {
        "run_name": run.name,
        "project": training.get("log_tracker_name", context.project),
        "output_dir": training.get("output_dir"),
        "output_name": training.get("output_name"),
    }
    if title := resolved.given.get("process_title"):
        settings["process_title"] = f"python/{title.value}"
    settings |= sample_wait(run.options)
    settings |= trackers.hook_settings(run, resolved, training, path, context, resume)
    return {**_sources(), AttemptFolder.HOOK: json.dumps(settings, indent=1)}


@lru_cache(maxsize=1)
def _sources() -> dict[str, str]:
    modules = [file for file in sorted(HOOK.glob("*.py")) if not file.name.startswith("_")]
    return {f"hook/{file.name}": file.read_text(encoding="utf-8") for file in modules}


def sample_wait(options: Mapping[str, Setting]) -> Table:
    """`should_wait_webui_process`: at which checkpoints the hook waits for samples, and how long. {}: it does not."""
    values = {key: setting.value for key, setting in options.items()}
    rule = sample_rule(values)
    if rule is None or not on_webui(values) or not on(values.get("should_wait_webui_process")):
        return {}
    return {"wait_for_samples": SAMPLE_WAIT, "sample_opt": rule.unit, "sample_num": rule.every}
