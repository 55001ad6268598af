"""Files and flags -> layers -> settings, each with its source.

Covers: reading files, `--set`, other names of a key, and the one merge (built-in < default file < tuning file < --set <
command line). Not: the two syntaxes (`jsonc`, `toml_file`), lists as axes (`sweep`), what a key means to a trainer
(`trainers/*`). Files are never written.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ..errors import Problem, UserError
from ..records import Setting, Source
from . import toml_file
from .jsonc import parse
from .key_sets import BUILT_IN, OLD_SPELLINGS, canonical
from .logins import move_logins
from .masking import without_values_of_secrets
from .values import unfit, unset

MAX_BYTES = 1 << 20


class Layer(NamedTuple):
    source: Source
    values: Mapping[str, object]


def load(
    files: Mapping[str, str], sets: Sequence[str], overrides: Mapping[str, object]
) -> tuple[dict[str, Setting], list[Problem]]:
    """The settings of a sweep and what is odd about them. `files`: `default file`, `tuning file` -> path; `sets`: the
    texts given with --set; `overrides`: key -> value of flags that set one key."""
    if not files and not sets:
        hint = "automate-train --default_config_path default.json --tuning_config_path tuning.json"
        raise UserError("no config file was given", hint=hint)
    read_files = [read(path, label) for label, path in files.items()]
    return merge([built_in(), *read_files, parse_set(sets), Layer(Source("command line"), overrides)])


def built_in() -> Layer:
    return Layer(Source("built-in"), BUILT_IN)


def read(path: str | Path, label: str) -> Layer:
    """A config file as a layer; `UserError` with file, line, column and the line itself."""
    return Layer(Source(label, str(path)), parse_object(read_text(path), str(path)))


def read_text(path: str | Path) -> str:
    """A user's small text file, UTF-8 with or without BOM. Of a larger one no more is read than tells that it is."""
    try:
        if not Path(path).is_file():
            what = "is a folder, not a file" if Path(path).is_dir() else "is not a regular file"
            exists = os.path.lexists(path)
            raise UserError(what if exists else "there is no such file", source=str(path), hint="check the path")
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot be read: {error}", source=str(path)) from None
    if len(data) > MAX_BYTES:
        raise UserError(f"is larger than {MAX_BYTES >> 20} MiB, the most that a config file may be", source=str(path))
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"is not UTF-8 (byte {error.start})", source=str(path), hint="save it as UTF-8") from None


def parse_any(text: str, where: str) -> object:
    """JSON or TOML by the name, and by the first character where a JSON file is named .toml."""
    if where.endswith(".toml") and not re.match(r"(\s|#[^\n]*\n)*[{]", text):
        return toml_file.parse_flat(text, where)
    return parse(text, where)


def parse_object(text: str, where: str) -> dict[str, object]:
    """The keys and values of a config file's text."""
    values = parse_any(text, where)
    if not isinstance(values, dict):
        raise UserError("must hold one object of keys and values", source=where, hint='for example {"unet_lr": 1e-4}')
    return values


def parse_set(texts: Sequence[str]) -> Layer:
    """`key=value` texts; a value is read as JSON, else it is text."""
    values: dict[str, object] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            hint = "for example --set unet_lr=1e-4"
            raise UserError(f"{without_values_of_secrets(text)!r} is not key=value", source="--set", hint=hint)
        try:
            values[key.strip()] = parse(value, "--set")
        except UserError:
            values[key.strip()] = value
    return Layer(Source("--set"), values)


def merge(layers: Sequence[Layer]) -> tuple[dict[str, Setting], list[Problem]]:
    """Canonical key (lists under `KEY_list`) -> setting, in the order of the winning definitions. A later layer wins,
    also with null, "" and false; `x` and `x_list` replace each other."""
    settings: dict[str, Setting] = {}
    problems: list[Problem] = []
    for layer in layers:
        source = str(layer.source)
        own: dict[str, tuple[str, object]] = {}
        for written, value in layer.values.items():
            key = canonical(written)
            if key in ("", "_list"):
                raise UserError(f"has a value for a key without a name ({written!r})", source=source, hint="name it")
            if message := unfit(written) or unfit(value):
                raise UserError(message, source=source, key=written, hint="take it out")
            if written.removesuffix("_list") in OLD_SPELLINGS:
                problems.append(Problem("warning", source, written, f"is the old spelling of {key}"))
            if key.endswith("_list") and unset(value):  # no list here, nor from a layer below
                settings.pop(key, None)
                continue
            if key in own and own[key][1] != value:
                raise UserError(f"is the same key as {own[key][0]}, with another value", source=source, key=written)
            own[key] = (written, value)
        for key, (written, value) in own.items():
            if f"{key}_list" in own:
                problems.append(Problem("warning", source, written, f"is ignored: {written}_list is given too"))
                continue
            base = key.removesuffix("_list")
            for other in (base, f"{base}_list"):
                settings.pop(other, None)
            settings[key] = Setting(value, layer.source, written.removesuffix("_list"))
    move_logins(settings)
    return settings, problems
