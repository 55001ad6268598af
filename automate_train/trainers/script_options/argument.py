"""One option of a trainer's script, and whether a value fits it.

Covers: `Argument`, `check` and `convert` of one value. sd-scripts applies neither type nor choices of its parser to its
config file, so a wrong value must be found here. Not: finding the options (`reader`), what an option means.
"""

from __future__ import annotations

import json
import math
import reprlib
from typing import Any, NamedTuple

from ...config.key import MOST
from ...config.key_sets import MASKED
from ...config.values import bad_letter, text_of
from ...errors import UserError, nearest


class Argument(NamedTuple):
    """One option of a trainer's script, named as in its config file (argparse's `dest`)."""

    name: str
    type: str
    """str, int, float, number (int or float), bool (a flag), json; `any` or a function's name where unreadable."""
    default: object = None
    choices: tuple[object, ...] | None = None
    nargs: str | int | None = None
    action: str = "store"
    help: str = ""
    required: bool = False
    dynamic: bool = False
    """Type or choices are computed when the trainer starts: what is not known here is not checked."""

    @property
    def is_list(self) -> bool:
        return self.action in ("append", "extend") or isinstance(self.nargs, int) or self.nargs in ("*", "+")


class _Unfit(Exception):
    """A value does not fit: the message, with `{}` where it shows the value, and the value."""

    def __init__(self, text: str, value: object = None) -> None:
        super().__init__(text)
        self.text, self.value = text, value

    def message(self, argument: Argument) -> str:
        return self.text.replace("{}", (_hidden if argument.name in MASKED else shown)(self.value), 1)


def check(argument: Argument, value: object) -> str | None:
    """What is wrong with a value, in words, or None. The value None means "not given"; texts of numbers are numbers."""
    try:
        _fit(argument, value)
    except _Unfit as unfit:
        return unfit.message(argument)
    return None


def outside(limits: tuple[float, float] | None, value: object) -> str | None:
    """What is wrong with a number, or with one of a list, that is not between the limits; MOST limits whole numbers."""
    for each in value if isinstance(value, (list, tuple)) else [value]:
        if not limits or not isinstance(each, (int, float)):
            continue
        if each < limits[0] or (each > limits[1] and not (limits[1] == MOST and isinstance(each, float))):
            allowed = f"{limits[0]} or more" if limits[1] == MOST else f"{limits[0]} to {limits[1]}"
            return f"must be {allowed}, not {shown(each)}"
    return None


def convert(argument: Argument, value: object) -> Any:
    """The value with exactly the type that the trainer needs in its config file: "1e-4" -> 0.0001, 3 -> "3" for a text,
    one value -> a list of one. `UserError` where `check` finds something."""
    try:
        return _fit(argument, value)
    except _Unfit as unfit:
        raise UserError(unfit.message(argument), key=argument.name) from None


def _fit(argument: Argument, value: object) -> object:
    if value is None:
        return None
    if not argument.is_list:
        return _fit_one(argument, value)
    values = [_fit_one(argument, part) for part in (value if isinstance(value, (list, tuple)) else [value])]
    if isinstance(argument.nargs, int) and len(values) != argument.nargs and argument.action == "store":
        raise _Unfit(f"needs a list of {argument.nargs} values, not of {len(values)}")
    if argument.nargs == "+" and not values:
        raise _Unfit("needs a list of at least one value")
    return values


def _fit_one(argument: Argument, value: object) -> object:
    read = READERS.get(argument.type)
    found = read(value, argument.type) if read else value
    if argument.choices is not None and found not in argument.choices:
        words = [str(choice) for choice in argument.choices if choice is not None]
        guess = "" if argument.name in MASKED else nearest(str(found), words)
        raise _Unfit(f"{{}} is not one of {', '.join(words)}{guess and '; ' + guess}", value)
    return found


def _text(value: object, kind: str) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise _Unfit("needs a text, not {}", value)
    text = text_of(value)
    if message := bad_letter(text):
        raise _Unfit(message)
    return text


def _flag(value: object, kind: str) -> bool:
    word = value.strip().lower() if isinstance(value, str) else value
    if word is True or word is False:
        return word
    if word in ("true", "false"):
        return bool(word == "true")
    raise _Unfit("is a switch: true or false, not {}", value)


def _number(value: object, kind: str) -> int | float:
    """int, float, or `number`: whole where it is whole, as the trainer's own reading of a command line does."""
    try:
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            raise ValueError
        exact = int(value) if isinstance(value, int) else _whole(value)
        near = float(value if exact is None else exact)
        if not math.isfinite(near) or (exact is not None and kind != "float" and not -(2**63) <= exact < 2**63):
            raise ValueError
        if kind == "int" and exact is None:
            raise ValueError
    except (ValueError, OverflowError):
        raise _Unfit(f"needs {'a whole number' if kind == 'int' else 'a number'}, not {{}}", value) from None
    return near if kind == "float" or exact is None else exact


def _whole(value: str | float) -> int | None:
    """2 of "2", "2.0" and 2.0; None of 2.5. Text is read as int first: a float would round a large seed."""
    try:
        return int(value) if isinstance(value, str) else int(value) if value.is_integer() else None
    except ValueError:
        return int(float(value)) if float(value).is_integer() else None


def _json(value: object, kind: str) -> object:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise _Unfit("needs JSON, not {}", value) from None


READERS = {"str": _text, "bool": _flag, "json": _json, "int": _number, "float": _number, "number": _number}
"""Type -> what reads a value as that type; other types are not read."""


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 60


def shown(value: object) -> str:
    """A value in a message: as the user wrote it, but short, however long or deep it is."""
    if isinstance(value, bool):
        return str(value).lower()
    number = isinstance(value, (int, float)) and len(str(value)) < 60
    return str(getattr(value, "text", value)) if number else _SHORT.repr(value)


def _hidden(value: object) -> str:
    """A secret value in a message: only its type."""
    if isinstance(value, bool):
        return str(value).lower()
    return {"str": "this text", "list": "a list", "dict": "an object"}.get(type(value).__name__, "a number")
