"""Sample prompts from .txt, .json or .toml files.

Covers: reading them into `Prompt`s, with file and line where something is wrong. Not: payloads for an image server.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .config import load_toml, read_text
from .errors import UserError, nearest
from .jsonc import parse

LETTERS: dict[str, tuple[str, type]] = {
    "n": ("negative_prompt", str), "w": ("width", int), "h": ("height", int), "d": ("seed", int), "s": ("steps", int),
    "l": ("cfg_scale", float), "g": ("guidance_scale", float), "ss": ("sampler_name", str), "cn":
    ("controlnet_image", str),
    "ctr": ("cfg_trunc_ratio", float), "rcfg": ("renorm_cfg", float), "fs": ("flow_shift", float),
}  # fmt: skip
"""Letter of a text prompt's option -> (field, type); sd-scripts' own, with the WebUI's names for the fields."""
OPTION = re.compile(r" --([a-z]{1,4})(?= |$)")


@dataclass(frozen=True)
class Prompt:
    text: str
    negative: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    line: int = 0
    """Line of a .txt file; in other files the place in the list, from 1."""


def read(path: str | Path) -> list[Prompt]:
    """The prompts of a file; `UserError` with file and line."""
    text = read_text(path)
    if str(path).endswith(".txt"):
        prompts = [
            _line(line.strip(), str(path), number)
            for number, line in enumerate(text.splitlines(), 1)
            if line.strip() and not line.strip().startswith("#")
        ]
    elif str(path).endswith(".toml") and not text.lstrip().startswith(("[\n", "[{", "{")):
        prompts = _objects(_from_toml(load_toml(text, str(path))), str(path))
    elif str(path).endswith((".json", ".toml")):
        prompts = _objects(parse(text, str(path)), str(path))
    else:
        raise UserError("is no prompt file", source=str(path), hint="allowed: .txt, .json, .toml")
    if not prompts:
        raise UserError("holds no prompt", source=str(path))
    return prompts


def _line(line: str, where: str, number: int) -> Prompt:
    parts = OPTION.split(line)
    fields: dict[str, Any] = {}
    for letter, value in zip(parts[1::2], parts[2::2], strict=True):
        if letter not in LETTERS:
            hint = nearest(letter, LETTERS) or f"allowed: {', '.join('--' + each for each in LETTERS)}"
            raise UserError(f"there is no prompt option --{letter}", source=f"{where}:{number}", hint=hint)
        name, kind = LETTERS[letter]
        try:
            fields[name] = kind(value.strip())
        except ValueError:
            raise UserError(f"--{letter} {value.strip()!r} is no number", source=f"{where}:{number}") from None
    return Prompt(parts[0].strip(), str(fields.pop("negative_prompt", "")), fields, number)


def _from_toml(table: dict[str, Any]) -> Any:
    """A list of tables under `prompts`, sd-scripts' [prompt] with [[prompt.subset]], or one prompt's table."""
    if isinstance(table.get("prompts"), list):
        return table["prompts"]
    shared = table.get("prompt")
    if isinstance(shared, dict):
        subsets = shared.get("subset", [{}])
        common = {key: value for key, value in shared.items() if key != "subset"}
        return [{**common, **each} for each in subsets if isinstance(each, dict)]
    return table


def _objects(found: Any, where: str) -> list[Prompt]:
    prompts = []
    for number, entry in enumerate(found if isinstance(found, list) else [found], 1):
        if not isinstance(entry, dict) or not isinstance(entry.get("prompt"), str):
            raise UserError(f"prompt {number} is no object with a text `prompt`", source=where)
        fields = {key: value for key, value in entry.items() if key not in ("prompt", "negative_prompt")}
        prompts.append(Prompt(entry["prompt"], str(entry.get("negative_prompt") or ""), fields, number))
    return prompts
