"""held_out.json: the pictures that no run of the sweep may see, and why.

Covers: its one reader and its one writer. Not: choosing (`sweep.held_out`), keeping them from the runs (`trainers`),
measuring on them (`judging`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from .files import LARGEST, is_count, is_number, is_text, open_regular, read_json, write
from .layout import SweepFolder

VERSION = 1
CHOSEN = "chosen"


class HeldOutPicture(NamedTuple):
    path: str
    """Absolute."""
    subset: str
    """Its folder, as the configs name it."""
    name: str
    """The file's name, which no other held-out picture has: where two would, the folder's name stands before it."""
    sha256: str
    caption: str
    """The caption file's absolute path; empty without one."""
    why: str
    """`chosen`, or `near-duplicate of <name>`: only what was chosen is measured on."""
    caption_text: str = ""
    """What the caption said when the picture was held out."""


class HeldOut(NamedTuple):
    request: int | float | str
    """The value of `held_out`."""
    of: int
    """How many training pictures there were when they were chosen."""
    digest: str
    """8 hex digits of the chosen pictures' content."""
    pictures: tuple[HeldOutPicture, ...]
    seen: str = ""
    """Digest of the folders' listings when copies were last looked for."""

    @property
    def chosen(self) -> tuple[HeldOutPicture, ...]:
        return tuple(each for each in self.pictures if each.why == CHOSEN)


def read_held_out(folder: SweepFolder) -> HeldOut | None:
    """None where there is no such file, or where it cannot be read."""
    found = read_json(folder.held_out) or {}
    pictures, request = found.get("pictures"), found.get("request")
    texts = is_text(found.get("digest")) and is_text(found.get("seen", ""))
    if found.get("version") != VERSION or not texts or not is_count(found.get("of")) or not isinstance(pictures, list):
        return None
    read = [_picture(each) for each in pictures]
    if not (is_number(request) or is_text(request)) or None in read:
        return None
    known = tuple(each for each in read if each is not None)
    return HeldOut(request, found["of"], found["digest"], known, found.get("seen", ""))


def _picture(fields: Any) -> HeldOutPicture | None:
    if not isinstance(fields, Mapping):
        return None
    texts: dict[str, Any] = {name: fields.get(name) for name in HeldOutPicture._fields}
    return HeldOutPicture(**texts) if all(map(is_text, texts.values())) else None


def as_dict(held_out: HeldOut) -> dict[str, Any]:
    pictures = [each._asdict() for each in held_out.pictures]
    return {"version": VERSION, **held_out._asdict(), "pictures": pictures}


def write_held_out(folder: SweepFolder, held_out: HeldOut) -> None:
    """`OSError`: a full disk."""
    text = json.dumps(as_dict(held_out), ensure_ascii=False, indent=1)
    write(folder.held_out, text.encode("utf-8", "surrogatepass") + b"\n", durable=True)


def caption_text(path: str) -> str | None:
    """A caption file's first line, as trainers read it; None where it cannot be read."""
    try:
        with open_regular(path) as file:
            return file.read(LARGEST).decode("utf-8", "replace").split("\n")[0].strip()
    except OSError:
        return None
