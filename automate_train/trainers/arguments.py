"""Which script of a repository trains, what it accepts, and whether a value fits.

Covers: `find_script`, `accepted` (read from the source, nothing is imported: `argparse_walk`), `check` and `convert` of
one value. sd-scripts applies no type, choice or nargs of its parser to its config file, so only we can.
Not: which keys are ours or a dataset's (`keys`), what old names stand for (`sd_scripts`).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..config.keys import MASKED
from ..errors import UserError, nearest

TINY = Path(__file__).parent / "tiny"
PLAIN_MODELS = ("", "sd", "sd1", "sd15", "sd2")


@dataclass(frozen=True)
class Argument:
    """One option of a trainer's script, named as in its config file (argparse's `dest`)."""

    name: str
    type: str
    """str, int, float, number (int or float), bool (a flag), json; `any` or a function's name where unreadable."""
    default: Any = None
    choices: tuple[Any, ...] | None = None
    nargs: str | int | None = None
    action: str = "store"
    help: str = ""
    required: bool = False
    dynamic: bool = False
    """Type or choices are computed when the trainer starts: what is not known here is not checked."""

    @property
    def is_list(self) -> bool:
        return self.action in ("append", "extend") or isinstance(self.nargs, int) or self.nargs in ("*", "+")


def find_script(repo_dir: Path, train_script: str | None, model_type: str | None, sdxl: bool) -> Path:
    """The script to start, as an absolute path; `UserError` that names the scripts there are.

    `repo_dir` is a folder of sd-scripts, a GUI's folder that holds it as `sd-scripts/`, or the word `tiny` (a folder
    of that name must be given by its full path). Without `train_script` the family decides: `model_type` flux ->
    flux_train_network.py.
    """
    name = str(train_script) if train_script else _script_of(model_type, sdxl)
    try:
        repo = TINY if str(repo_dir) == "tiny" else Path(repo_dir).expanduser().absolute()
        folders = [folder for folder in (repo, repo / "sd-scripts") if folder.is_dir()]
        found = next((folder / name for folder in folders if (folder / name).is_file()), None)
        there = sorted({path.name for folder in folders for path in folder.glob("*train*.py") if path.is_file()})
    except (OSError, RuntimeError, ValueError) as error:  # no permission, ~nobody, NUL, a name too long
        raise UserError(f"{name[:60]!r} in {str(repo_dir)!r} cannot be read: {error}", key="repo_dir") from None
    if found:
        return found
    if not folders:
        hint = "give the folder of kohya-ss/sd-scripts, or tiny for the built-in trainer"
        raise UserError(f"there is no folder {str(repo_dir)!r}", key="repo_dir", hint=hint)
    hint = "is it a folder of kohya-ss/sd-scripts?"
    if there:
        hint = f"it has {', '.join(there[:12])}{' ...' if len(there) > 12 else ''}"
        hint = " ".join(part for part in (nearest(name, there), hint) if part)
    elif len(folders) == 2:
        hint = "its submodule is missing: git submodule update --init"
    key = "train_script" if train_script else "model_type" if there else "repo_dir"
    raise UserError(f"{folders[-1]} has no script {name!r}", key=key, hint=hint)


def _script_of(model_type: str | None, sdxl: bool) -> str:
    family = str(model_type or "").lower().replace("-", "_").replace("sd1.5", "sd15")
    if not re.fullmatch(r"\w*", family):
        raise UserError(f"{model_type!r} is no model type", key="model_type", hint="for example sdxl, sd3, flux")
    if sdxl and family not in (*PLAIN_MODELS, "sdxl"):
        raise UserError(f"{model_type} and sdxl: true are two different models", key="model_type", hint="take one out")
    family = "sdxl" if sdxl else "" if family in PLAIN_MODELS else family
    return f"{family}_train_network.py" if family else "train_network.py"


_read: dict[Path, tuple[dict[Path, int], dict[str, Argument]]] = {}
"""Script -> the modification times of all files that were read, and what was found."""


def accepted(script: Path) -> dict[str, Argument]:
    """What the script's argparse parser accepts, in the order of its `--help`; read once while no file changes.

    `UserError` when the script or a module that it needs is missing, no Python, or builds no parser that can be read.
    """
    from .argparse_walk import read

    script = Path(script).absolute()
    times, found = _read.get(script, ({}, {}))
    if not times or times != _times(times):
        found, files = read(script)
        _read[script] = (_times(files), found)
    return dict(found)


def _times(files: Any) -> dict[Path, int]:
    try:
        return {path: path.stat().st_mtime_ns for path in files}
    except OSError:
        return {}


class _Unfit(Exception):
    """A value is of the wrong type; the text says what is wanted."""


def check(argument: Argument, value: Any) -> str | None:
    """What is wrong with a value, in words, or None. None is "not given"; texts of numbers are numbers."""
    try:
        _fit(argument, value)
    except _Unfit as unfit:
        return str(unfit)
    return None


def convert(argument: Argument, value: Any) -> Any:
    """The value with exactly the type that the trainer wants in its config file: "1e-4" -> 0.0001, 3 -> "3" for a text,
    one value -> a list of one. `UserError` where `check` finds something."""
    try:
        return _fit(argument, value)
    except _Unfit as unfit:
        raise UserError(str(unfit), key=argument.name) from None


def _fit(argument: Argument, value: Any) -> Any:
    if value is None:
        return None
    if not argument.is_list:
        return _one(argument, value)
    values = [_one(argument, part) for part in (value if isinstance(value, (list, tuple)) else [value])]
    if isinstance(argument.nargs, int) and len(values) != argument.nargs and argument.action == "store":
        raise _Unfit(f"needs a list of {argument.nargs} values, not of {len(values)}")
    if argument.nargs == "+" and not values:
        raise _Unfit("needs a list of at least one value")
    return values


def _one(argument: Argument, value: Any) -> Any:
    secret = argument.name in MASKED
    found = READERS.get(argument.type, _as_it_is)(value, argument.type, secret)
    allowed = argument.choices
    if allowed is not None and found not in allowed:
        words = [str(choice) for choice in allowed if choice is not None]
        guess = "" if secret else nearest(str(found), words)
        raise _Unfit(f"{_shown(value, secret)} is not one of {', '.join(words)}{guess and '; ' + guess}")
    return found


def _text(value: Any, kind: str, secret: bool) -> str:
    from ..config.layers import text_of

    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise _Unfit(f"needs a text, not {_shown(value, secret)}")
    text = text_of(value)
    if "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise _Unfit("holds a character that no file can hold (NUL or half of a surrogate pair)")
    return text


def _flag(value: Any, kind: str, secret: bool) -> bool:
    word = value.strip().lower() if isinstance(value, str) else value
    if word is True or word is False:
        return word
    if word in ("true", "false"):
        return word == "true"
    raise _Unfit(f"is a switch: true or false, not {_shown(value, secret)}")


def _number(value: Any, kind: str, secret: bool) -> int | float:
    """int, float, or `number`: whole where it is whole, as the trainer's own reading of a command line does."""
    wanted = {"int": "a whole number", "float": "a number", "number": "a number"}[kind]
    try:
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            raise ValueError
        exact = int(value) if isinstance(value, int) else _whole(value)
        near = float(value if exact is None else exact)
        if not math.isfinite(near) or (exact is not None and kind != "float" and not -(2**63) <= exact < 2**63):
            raise ValueError
    except (ValueError, OverflowError):
        raise _Unfit(f"needs {wanted}, not {_shown(value, secret)}") from None
    if kind == "int" and exact is None:
        raise _Unfit(f"needs {wanted}, not {_shown(value, secret)}")
    return near if kind == "float" or exact is None else exact


def _whole(value: str | float) -> int | None:
    """2 of "2", "2.0" and 2.0; None of 2.5. Text is read as int first: a large seed is no float."""
    try:
        return int(value) if isinstance(value, str) else int(value) if value.is_integer() else None
    except ValueError:
        return int(float(value)) if float(value).is_integer() else None


def _json(value: Any, kind: str, secret: bool) -> Any:
    import json

    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise _Unfit(f"needs JSON, not {_shown(value, secret)}") from None


def _as_it_is(value: Any, kind: str, secret: bool) -> Any:
    return value


READERS = {"str": _text, "bool": _flag, "json": _json, "int": _number, "float": _number, "number": _number}


def _shown(value: Any, secret: bool) -> str:
    """A value as the user wrote it, cut short; a secret only as its kind."""
    import reprlib

    if isinstance(value, bool):
        return str(value).lower()
    if secret:
        return {"str": "this text", "list": "a list", "dict": "an object"}.get(type(value).__name__, "a number")
    short = reprlib.Repr()
    short.maxstring = short.maxother = 60
    return short.repr(value) if not isinstance(value, float) else str(getattr(value, "text", value))
