"""Values out of config files: nothing, switches, numbers and their texts; which nobody could store.

Covers: any value, whatever key it belongs to. Not: types and limits of a key (`key_table`), parsing (`jsonc`,
`toml_file`).
"""

from __future__ import annotations

import json
import math
import re

from .jsonc import DEPTH, MAX_DIGITS, Number

BAD_LETTER = re.compile("[\0\ud800-\udfff]")


def unset(value: object) -> bool:
    """True for what old files write to say `nothing`: null, empty text, and the text None."""
    return value is None or value == "" or value == "None"


def on(value: object) -> bool:
    """Whether a switch is on; old files write `"true"`."""
    return value is True or (isinstance(value, str) and value.strip().lower() == "true")


def number(value: object) -> int | float | None:
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


def whole(value: object) -> int | None:
    """2 of 2, 2.0, "2" and "2.0"; None of what is no whole number."""
    found = number(value)
    return int(found) if found is not None and found == int(found) else None


def bad_letter(text: str) -> str | None:
    """Why no file, argument or journal could hold a text, in words; None for a sound one."""
    if BAD_LETTER.search(text):
        return "holds a character that no file can hold (NUL, or half of a surrogate pair)"
    return None


def unfit(value: object, depth: int = 0) -> str | None:
    """Why no file, argument or journal could hold a value, in words; None for a sound one."""
    if isinstance(value, str):
        return bad_letter(value)
    if isinstance(value, float) and not math.isfinite(value):
        return f"{text_of(value)} is not a number that a config file may hold"
    if isinstance(value, int) and abs(value) >= 10**MAX_DIGITS:
        return f"holds a number of more than {MAX_DIGITS} digits"
    parts = [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else ()
    if depth > DEPTH and parts:
        return f"is nested deeper than {DEPTH} levels"
    return next(filter(None, (unfit(part, depth + 1) for part in parts)), None)


def text_of(value: object) -> str:
    """A value as names show it: as it was written."""
    if isinstance(value, Number):
        return value.text
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
