"""Types, choices and ranges of our own keys (`keys.OURS`), for whichever trainer.

Covers: keys that steer the sweep and never reach a trainer. Not: what a trainer accepts (`arguments`), files and
folders that they name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ..config.keys import OURS
from ..errors import Problem, UserError
from ..records import Setting
from .script_options.argument import Argument, check, convert

DEVICES = re.compile(r"\s*[0-9]+(\s*,\s*[0-9]+)*\s*")
RANGES = {"port": (1, 65535), "sample_num": (1, 2**31)}


def problems(given: Mapping[str, Setting]) -> Iterator[Problem]:
    """What is wrong with the keys of ours that are set; each is named with its source."""
    for key, setting in given.items():
        if kind := OURS.get(key):
            for message in filter(None, _messages(key, kind, setting.value)):
                yield Problem("error", str(setting.source), setting.written, message)


def _messages(key: str, kind: str, value: Any) -> Iterator[str | None]:
    if kind == "texts":
        for part in value if isinstance(value, list) else [value]:
            yield check(Argument(key, "str"), part)
    elif kind == "devices":
        whole = isinstance(value, int) and not isinstance(value, bool) and value >= 0
        if not whole and not (isinstance(value, str) and DEVICES.fullmatch(value)):
            yield f'needs device numbers like "0,1", not {value!s:.60}'
    elif "|" in kind:
        choices = tuple(None if word == "None" else word for word in kind.split("|"))
        yield check(Argument(key, "str", choices=choices), value)
    else:
        argument = Argument(key, {"text": "str"}.get(kind, kind))
        yield check(argument, value)
        if kind == "int":
            yield _range(argument, value)


def _range(argument: Argument, value: Any) -> str | None:
    low, high = RANGES.get(argument.name, (0, 2**31))
    try:
        found = convert(argument, value)
    except UserError:  # `check` has said so
        return None
    return None if low <= found <= high else f"must be {low} to {high}, not {found}"
