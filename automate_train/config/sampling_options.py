"""What the keys about sample pictures mean together: whether, when and where a run is sampled.

Covers: `use_external_webui`, `sample_opt`, `sample_num`, `webui_url`, `webui_urls` and the servers' passwords, as the
checks before a sweep, the sweep and the sampler all understand them. Options are plain values here, because the
sampler reads them back from the journal. The hook waits by the same rule (`hook/hook_sample_wait.py`, which can import
nothing; a test compares the two). Not: prompts (`prompts`), which checkpoints are due by a rule (`sampling/schedule`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

from .key_sets import SECRETS, WEBUI_SECRETS
from .values import on, unset, whole


class SampleRule(NamedTuple):
    """Every `every`-th `unit` is sampled, and the last checkpoint always. `unit` None: the last one alone."""

    unit: str | None = "epoch"
    every: int = 1


def sample_rule(options: Mapping[str, object]) -> SampleRule | None:
    """When a run is sampled; None: never, because `sample_opt` says None, "" or null."""
    if "sample_opt" in options and unset(options["sample_opt"]):
        return None
    count = whole(options.get("sample_num")) or 1
    return SampleRule("step" if options.get("sample_opt") == "step" else "epoch", max(1, count))


def on_webui(options: Mapping[str, object]) -> bool:
    """Whether a WebUI draws the samples, not the trainer itself."""
    return on(options.get("use_external_webui"))


def webui_addresses(options: Mapping[str, object]) -> list[str]:
    """The servers of `webui_urls` and `webui_url`, each once."""
    several = options.get("webui_urls")
    listed = several if isinstance(several, list) else [] if unset(several) else str(several).split(",")
    one = options.get("webui_url")
    found = [str(each).strip() for each in [*listed, *([] if unset(one) else [one])]]
    return list(dict.fromkeys(each for each in found if each))


def sampler_environment(options: Mapping[str, object]) -> dict[str, str]:
    """The environment variables that carry a run's secrets to the sampler's process: the servers' passwords, which may
    be in ours instead of the options, and W&B's key for late pictures."""
    variables = dict(WEBUI_SECRETS)
    if options.get("log_with") in ("wandb", "all"):
        variables["wandb_api_key"] = SECRETS["wandb_api_key"]
    ours = {variable: os.environ[variable] for variable in WEBUI_SECRETS.values() if variable in os.environ}
    return ours | {variable: str(options[key]) for key, variable in variables.items() if not unset(options.get(key))}


def trainer_environment(inherited: Mapping[str, str]) -> dict[str, str]:
    """An environment without the servers' passwords, which no trainer and no script of it needs."""
    return {name: value for name, value in inherited.items() if name not in WEBUI_SECRETS.values()}
