"""The held-out pictures that can be measured on.

Covers: those of held_out.json that are still what they were, with the captions that they had then; what is
wrong with the others, in words. Not: choosing them (`sweep`), the file (`store/held_out`).
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from ..errors import UserError
from ..store.files import open_regular
from ..store.held_out import HeldOutPicture, caption_text, read_held_out
from ..store.layout import SweepFolder

LARGEST = 1 << 30
"""Bytes of a picture."""


class Picture(NamedTuple):
    name: str
    path: str
    caption: str


class Usable(NamedTuple):
    digest: str
    """Of all chosen pictures and their captions, whether or not they are left."""
    pictures: tuple[Picture, ...]
    problems: tuple[str, ...]


def usable(folder: SweepFolder) -> Usable:
    """`UserError`: the sweep has none, or none that is left."""
    held_out = read_held_out(folder)
    if held_out is None:
        hint = 'add "held_out": 4 to the config before a sweep begins'
        raise UserError("this sweep has no held-out pictures to measure on", source=str(folder.path), hint=hint)
    pictures, problems = [], []
    texts = sorted((each.name, each.caption_text) for each in held_out.chosen)
    digest = hashlib.sha256(repr((held_out.digest, texts)).encode("utf-8", "backslashreplace")).hexdigest()[:8]
    for each in held_out.chosen:
        if wrong := _fault(each):
            problems.append(f"held-out picture {each.path} {wrong}: nothing is measured on it")
        else:
            pictures.append(Picture(each.name, each.path, each.caption_text))
        if caption_text(each.caption) not in (None, each.caption_text):
            problems.append(f"{each.caption} is not what it was when it was held out: the old caption is measured with")
    if not pictures:
        raise UserError("none of the held-out pictures is left", source=str(folder.held_out), hint="put them back")
    return Usable(digest, tuple(pictures), tuple(problems))


def _fault(picture: HeldOutPicture) -> str:
    """What is wrong, in words that follow its name."""
    try:
        with open_regular(picture.path) as file:
            digest = hashlib.sha256(file.read(LARGEST)).hexdigest()
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"
    return "" if digest == picture.sha256 else "is not what it was when it was held out"
