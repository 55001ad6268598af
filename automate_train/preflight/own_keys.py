"""Types, choices and ranges of the keys that steer the sweep, for whichever trainer.

Covers: the keys that the table (`config/key_table`) calls ours. Not: the trainer's and the dataset's options
(`trainers/*`), files and folders that a key names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from ..config.key import Key
from ..config.key_sets import BY_NAME
from ..config.values import unset
from ..errors import Problem
from ..records import Setting
from ..trainers.script_options.argument import Argument, check, convert, outside

DEVICES = re.compile(r"\s*[0-9]+(\s*,\s*[0-9]+)*\s*")


def problems(options: Mapping[str, Setting]) -> Iterator[Problem]:
    """What is wrong with the keys of ours that are set; each is named with its source."""
    for name, setting in options.items():
        key = BY_NAME.get(name)
        if key is not None and key.ours and not unset(setting.value):
            for message in messages(key, setting.value):
                yield Problem("error", str(setting.source), setting.written, message)


def messages(key: Key, value: object) -> Iterator[str]:
    """What is wrong with a value of a key, in words."""
    if key.type == "devices":
        whole = isinstance(value, int) and not isinstance(value, bool) and value >= 0
        if not whole and not (isinstance(value, str) and DEVICES.fullmatch(value)):
            yield f'needs device numbers like "0,1", not {value!s:.60}'
        return
    if key.type == "amount":
        return  # `held_out` says what is wrong with it
    choices = tuple(None if word == "None" else word for word in key.choices) or None
    argument = Argument(key.name, "str" if key.type in ("text", "texts") else key.type, choices=choices)
    for part in value if key.type == "texts" and isinstance(value, list) else [value]:
        if (message := check(argument, part)) or (message := outside(key.range, convert(argument, part))):
            yield message
