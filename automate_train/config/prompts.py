"""Sample prompts from .txt, .json or .toml files.

Covers: the three forms, what a prompt may hold, errors with file and line (or the prompt's place) and the field's name.
Not: which fields there are (`prompt_fields`), what an image server is sent (`sampling.servers`). Only the prompt file
itself is read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..errors import Problem, UserError, nearest
from . import toml_file
from .jsonc import parse
from .layers import read_text
from .prompt_fields import FIXED, LETTERS, checked, json_value
from .values import number

TAG = re.compile(r"<\w+:([^:>]+)(?::[^>]*)?>")
"""What a prompt tells an image server beside its words: `<kind:name:numbers>`."""
NOBODY = "\0"
"""Takes the placeholder's place where there is no LoRA; no prompt holds it."""
OPTION = re.compile(r" --([A-Za-z]+)(?= |$)")
"""An option of a text prompt. ` -- `, `x--y` and ` --5` are not options: they stay text."""
JSON_TEXT = re.compile(r"(?:\s|#[^\n]*\n|//[^\n]*\n|/\*.*?\*/)*(?:\{|\[\s*(?:[\]{#]|//|/\*))", re.DOTALL)
"""A .toml file that begins like this holds JSON: the old script did not look at the ending."""


@dataclass(frozen=True)
class Prompt:
    """One prompt: one picture, or several where `weights` and `baseline` say so. Everything in it is JSON-able."""

    text: str
    negative: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """Everything else as the file has it, under the file's names: the WebUI's fields, sd-scripts', the shorthands."""
    line: int = 0
    """Line of a .txt file; in other files the place in the list. From 1."""
    seed: int | None = None
    """None (the file says -1 or nothing): the sampler draws one for the whole sweep."""
    placeholder: str = ""
    """`regex_to_replace`: the text that stands for the LoRA's name; empty when there is none."""
    weights: tuple[float, ...] = ()
    """`lora_weights`: one picture for each; empty: one picture, as the prompt itself says."""
    baseline: bool = False
    """Whether a picture without the LoRA is wanted too."""
    file: str = ""

    @property
    def where(self) -> str:
        return place(self.file, self.line)

    def words(self) -> tuple[str, str]:
        """The prompt and the negative prompt without the LoRA: our tag and the placeholder are left out, everything
        else stays. The same for all checkpoints and servers."""
        return self._without_lora(self.text), self._without_lora(self.negative)

    def _without_lora(self, text: str) -> str:
        if self.placeholder:
            text = text.replace(self.placeholder, NOBODY)
        return TAG.sub(lambda tag: "" if tag[1] == NOBODY else tag[0], text).replace(NOBODY, "").strip()


def without_tags(prompt: Prompt) -> tuple[str, str, list[str]]:
    """(prompt, negative prompt, tags other than our LoRA's): the words for a sampler that knows no tags."""
    texts = prompt.words()
    others = [tag[0] for text in texts for tag in TAG.finditer(text)]
    words, negative = (TAG.sub("", text).strip() for text in texts)
    return words, negative, others


def place(file: str, at: int) -> str:
    """`p.txt:3` or `p.json, prompt 3`."""
    return f"{file}:{at}" if file.lower().endswith(".txt") else f"{file}, prompt {at}"


def read_prompts(path: str | Path) -> list[Prompt]:
    """The prompts of a file, at least one; `UserError` with file and line."""
    found, wrong = check_prompts(path)
    if wrong:
        first = wrong[0]
        raise UserError(first.message, source=first.source, key=first.key, hint=first.hint)
    return found


def check_prompts(path: str | Path) -> tuple[list[Prompt], list[Problem]]:
    """The prompts of a file that can be read, and what is wrong with the others, each with file and line."""
    try:
        about = os.stat(path)
        version = (about.st_ino, about.st_size, about.st_mtime_ns)
    except (OSError, ValueError):  # reading it tells why
        version = None
    found, wrong = _check(str(path), version)
    return list(found), list(wrong)


@lru_cache(maxsize=64)
def _check(file: str, version: tuple[int, int, int] | None) -> tuple[list[Prompt], list[Problem]]:
    """Kept: the preflight of a sweep asks for the same file three times a run."""
    found, wrong = [], []
    try:
        entries = _all_entries(file)
    except UserError as error:
        return [], [error.problem]
    for at, entry in entries:
        try:
            found.append(_prompt(entry, at, file))
        except UserError as error:
            wrong.append(error.problem)
    return found, wrong


def _all_entries(file: str) -> list[tuple[int, object]]:
    """(line or place, entry) of each prompt."""
    text, ending = read_text(file), Path(file).suffix.lower()
    entries: list[tuple[int, object]]
    if ending == ".txt":
        lines = enumerate(re.split(r"\r\n|\r|\n", text), 1)  # splitlines() would also split at U+2028 and the like
        entries = [(at, line.strip()) for at, line in lines if line.strip() and not line.strip().startswith("#")]
    elif ending == ".json" or (ending == ".toml" and JSON_TEXT.match(text)):
        entries = list(enumerate(_entries(_json(text, file), file), 1))
    elif ending == ".toml":
        entries = list(enumerate(_entries(toml_file.parse(text, file), file), 1))
    else:
        raise UserError("is not a prompt file", source=file, hint="allowed: .txt, .json, .toml")
    if not entries:
        raise UserError("has no prompts", source=file)
    return entries


def _json(text: str, file: str) -> object:
    try:
        return parse(text, file)
    except UserError as error:
        message = str(error.args[0])
        if not message.startswith("Expecting ',' delimiter"):
            raise
        shown = message.replace("Expecting ',' delimiter", "a comma is missing before this", 1)
        hint = "write the comma after the value before this mark, often at the end of the line above"
        raise UserError(shown, source=error.problem.source, hint=hint) from None


def _entries(found: object, file: str) -> list[object]:
    """A list; an object with `prompts`; sd-scripts' [prompt] with [[prompt.subset]]; or one prompt. Other keys of an
    object with a list apply to each of its prompts."""
    if isinstance(found, list):
        return found
    if not isinstance(found, dict):
        raise UserError("is not a list of prompts", source=file, hint='for example [{"prompt": "a boat"}]')
    shared = found
    entries: object = [{}]
    if isinstance(found.get("prompt"), dict):
        shared = found["prompt"]
        entries = shared.get("subset", [{}])
    elif "prompts" in found or isinstance(found.get("prompt"), list):
        entries = found.get("prompts", found.get("prompt"))
    if not isinstance(entries, list):
        raise UserError("must be a list of prompts", source=file, key="subset" if "subset" in shared else "prompts")
    names = {"prompts", "subset", *(["prompt"] if isinstance(shared.get("prompt"), list) else [])}
    common = {name: value for name, value in shared.items() if name not in names}
    return [{**common, **each} if isinstance(each, dict) else each for each in entries]


def _line(line: str, where: str) -> dict[str, object]:
    """A text prompt as an object; options in any case, of two equal ones the last counts, as in sd-scripts."""
    text, *parts = OPTION.split(f" {line}")
    found: dict[str, object] = {"prompt": text.strip()}
    for letter, value in zip(parts[::2], parts[1::2], strict=True):
        name = LETTERS.get(letter.lower())
        if name is None:
            hint = nearest(letter, LETTERS) or f"allowed: {', '.join('--' + each for each in LETTERS)}"
            raise UserError(f"there is no prompt option --{letter}", source=where, hint=hint)
        if not value.strip() and name != "negative_prompt":
            raise UserError(f"--{letter} has no value", source=where, hint=f"it is the prompt's {name}")
        found[name] = _checked(name, value.strip(), f"--{letter}", where)
    if not found["prompt"]:
        raise UserError("has options but no prompt before them", source=where)
    return found


def _checked(name: str, value: object, shown: str, where: str) -> Any:
    try:
        return checked(name, json_value(value))
    except ValueError as error:
        raise UserError(f"{shown} {error}", source=where) from None


def _prompt(entry: object, at: int, file: str) -> Prompt:
    where = place(file, at)
    if isinstance(entry, str):  # a line of a .txt file, or the same text in a list, which sd-scripts reads too
        _checked("prompt", entry, "the prompt", where)
        entry = _line(entry, where)
    if not isinstance(entry, dict) or not isinstance(entry.get("prompt"), str):
        raise UserError("is not an object with a text `prompt`", source=where, hint='for example {"prompt": "a boat"}')
    fields: dict[str, Any] = {}
    for name, value in entry.items():
        _checked("", name, "a field's name", where)
        fields[name] = _checked(name, value, name, where)
    for name, only in FIXED.items():
        if fields.get(name) not in (None, only):
            text = f"{name} must be {str(only).lower()} or left out: a prompt makes one picture with the LoRA"
            raise UserError(text, source=where, hint="several seeds are several prompts; weights go into lora_weights")
    seed = fields.pop("seed", None)
    return Prompt(
        text=fields.pop("prompt"),
        negative=fields.pop("negative_prompt", None) or "",
        line=at,
        seed=None if seed == -1 else seed,
        placeholder=fields.pop("regex_to_replace", None) or "",
        weights=_weights(fields.pop("lora_weights", None), where),
        baseline=bool(fields.pop("baseline", None)),
        file=file,
        fields={name: value for name, value in fields.items() if name not in FIXED},
    )


def _weights(value: object, where: str) -> tuple[float, ...]:
    if value is None:
        return ()
    found = [number(each) for each in value] if isinstance(value, list) else []
    weights = tuple(float(each) for each in found if each is not None)
    if not found or len(weights) < len(found):
        raise UserError(
            f"lora_weights must be a list of numbers, not {value!r:.60}", source=where, hint="like [0.6, 0.8, 1.0]"
        )
    if len({f"{weight:g}" for weight in weights}) < len(weights):
        raise UserError("lora_weights lists a weight twice", source=where, hint="each makes its own picture")
    return weights
