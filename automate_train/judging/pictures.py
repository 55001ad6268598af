"""The held-out pictures that can be measured on.

Covers: those of held_out.json that are still what they were, with their captions; what is wrong with the others, in
words. Not: choosing them (`sweep`, before anything is trained).
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

from ..errors import UserError
from ..store.files import open_regular, read_json
from ..store.layout import SweepFolder

LARGEST = 1 << 30
"""Bytes of a picture."""


class Picture(NamedTuple):
    name: str
    path: str
    caption: str


class HeldOut(NamedTuple):
    digest: str
    pictures: tuple[Picture, ...]
    problems: tuple[str, ...]


def read(folder: SweepFolder) -> HeldOut:
    """`UserError`: the sweep has none, or none that is left."""
    found = read_json(folder.held_out)
    listed = found.get("pictures") if found else None
    digest = found.get("digest") if found else None
    if not isinstance(listed, list) or not isinstance(digest, str) or not listed:
        hint = 'add "held_out": 4 to the config before a sweep begins'
        raise UserError("this sweep has no held-out pictures to measure on", source=str(folder.path), hint=hint)
    pictures: dict[str, Picture] = {}
    problems = []
    for each in listed:
        fields = each if isinstance(each, dict) else {}
        name, path, sha256, caption = (fields.get(key) for key in ("name", "path", "sha256", "caption"))
        if not (isinstance(name, str) and isinstance(path, str)) or fields.get("why") != "chosen":
            continue
        wrong = _fault(path, sha256)
        if wrong:
            problems.append(f"held-out picture {path} {wrong}: nothing is measured on it")
        else:
            pictures.setdefault(name, Picture(name, path, _caption(caption)))
    if not pictures:
        hint = "put them back"
        raise UserError("none of the held-out pictures is left", source=str(folder.held_out), hint=hint)
    return HeldOut(digest, tuple(pictures.values()), tuple(problems))


def _fault(path: str, sha256: object) -> str:
    """What is wrong, in words that follow its name."""
    try:
        with open_regular(path) as file:
            digest = hashlib.sha256(file.read(LARGEST)).hexdigest()
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"
    return "" if digest == sha256 else "is not what it was when it was held out"


def _caption(path: object) -> str:
    """Its first line, as trainers read it."""
    if not isinstance(path, str) or not path:
        return ""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").split("\n")[0].strip()
    except OSError:
        return ""
