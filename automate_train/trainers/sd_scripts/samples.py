"""The prompt file as the trainer's own sampler reads it.

Covers: .txt files are its own form and are used where they lie; from .json and .toml files a copy is made in which the
WebUI's names for the same things have the trainer's. Not: whether the file is right (`prompts`), sampling on a WebUI.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ...errors import UserError
from .resolve import Resolved

COPY = "sample_prompts.json"
NAMES = {"steps": "sample_steps", "cfg_scale": "scale"}
"""The WebUI's name -> the trainer's. Samplers have other names altogether: the trainer's sample_sampler holds."""


def copied(resolved: Resolved) -> str | None:
    """The text of `COPY`, or None where the trainer reads the user's own file. `UserError` when it cannot be read."""
    path = resolved.training.get("sample_prompts")
    if not isinstance(path, str) or not path.lower().endswith((".json", ".toml")):
        return None
    setting = resolved.settings["sample_prompts"]
    try:
        prompts = _read(Path(path))
    except Exception as error:  # the toml package raises IndexError and others on broken files
        text = f"the trainer's own sampler cannot read {path}: {error}"
        hint = "it knows no comments, and TOML as [prompt] with [[prompt.subset]]; a .txt file has one prompt a line"
        raise UserError(text, source=str(setting.source), key=setting.written, hint=hint) from None
    return json.dumps([_named(prompt) for prompt in prompts], indent=1)


def _read(path: Path) -> list[Any]:
    text = path.read_text(encoding="utf-8")
    if path.name.lower().endswith(".json"):
        prompts = json.loads(text)
    else:
        import toml

        shared = toml.loads(text)["prompt"]
        prompts = [{**shared, **subset} for subset in shared["subset"]]
    if not isinstance(prompts, list) or not all(isinstance(prompt, (str, dict)) for prompt in prompts):
        raise ValueError("a list of prompts is needed")
    return prompts


def _named(prompt: Any) -> Any:
    if isinstance(prompt, str):
        return prompt
    named = {NAMES.get(key, key): value for key, value in prompt.items() if key != "subset"}
    return {**named, **{key: prompt[key] for key in NAMES.values() if key in prompt}}
