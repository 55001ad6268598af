"""Small questions about settings that every room of this package asks.

Covers: which of two settings wins, numbers and switches however old files write them, problems that name file and key.
Not: what a key means (`translate`, `dataset`), whether the trainer wants the value (`arguments`).
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Any

from ...config.keys import on, unset
from ...errors import Problem, Severity
from ...records import Setting, Source

LAYERS = ("built-in", "default file", "tuning file", "--set", "command line")


def given(options: Mapping[str, Setting]) -> dict[str, Setting]:
    """The options that say something: null, "" and "None" are how old files write `not given`."""
    return {key: setting for key, setting in options.items() if not unset(setting.value)}


def rank(setting: Setting) -> int:
    """The layer's place, low to high: of two settings for one thing the higher rank wins."""
    label = setting.source.label
    return LAYERS.index(label) if label in LAYERS else len(LAYERS)


def built_in(key: str, value: Any) -> Setting:
    return Setting(value, Source("built-in"), key)


def number(value: Any) -> int | float | None:
    """A number or the text of one, finite and of a size that a TOML file can hold; else None."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        found = int(value) if isinstance(value, (int, str)) else value
    except ValueError:
        try:
            found = float(value)
        except ValueError:
            return None
    if isinstance(found, int):
        return found if -(2**63) <= found < 2**63 else None
    return float(found) if math.isfinite(found) else None


def is_on(setting: Setting | None) -> bool:
    return setting is not None and on(setting.value)


def text_in(setting: Setting | None) -> str | None:
    """The text of a setting that must be one; None for anything else (`ours` has said so by then)."""
    return setting.value if setting is not None and isinstance(setting.value, str) else None


def path_in(setting: Setting | None) -> str | None:
    text = text_in(setting)
    return absolute(text) if text else None


def absolute(path: str) -> str:
    """A path as the user's shell would understand it: `~`, and relative to where the command was typed."""
    try:
        return os.path.abspath(os.path.expanduser(path))
    except ValueError:  # NUL
        return path


def problem(setting: Setting | None, message: str, hint: str = "", severity: Severity = "error") -> Problem:
    if setting is None:
        return Problem(severity, "", "", message, hint)
    return Problem(severity, str(setting.source), setting.written, message, hint)


def pairs(value: Any) -> Any:
    """`["a=1", "b=2"]` of a list or of one text `"a=1 b=2"`; anything else as it is, for `arguments.check`."""
    if not isinstance(value, str):
        return value
    parts = value.split()
    return parts if all("=" in part for part in parts) else [value]


def plain(value: Any) -> Any:
    """Without our number type: what a TOML writer knows."""
    if isinstance(value, float):
        return float(value)
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    return value


def on_one_line(text: str) -> str:
    """A path in a message: a name may hold line breaks."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
