"""Pictures from a server, which is not trusted, and what their infotext proves.

Covers: base64 -> checked PNG, the grid, the judgement "was our LoRA used, on the wanted model". Pure.
Not: decoding pixels (a bomb stays harmless: sizes are read from the header), saving.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

SIGNATURE = b"\x89PNG\r\n\x1a\n"
LARGEST = 32 << 20
"""Bytes of one picture."""
SIDE = 16384
PIXELS = 1 << 27
Verdict = Literal["done", "base model only", "wrong checkpoint"]


class NoPicture(ValueError):
    """What the server sent is no acceptable PNG; the text says why."""


@dataclass(frozen=True)
class Picture:
    png: bytes
    infotext: str
    """As the WebUI writes it: prompt, `Negative prompt: ..`, `Steps: .., Seed: .., Model: ..`; may be empty."""
    width: int
    height: int


def decoded(text: object) -> bytes:
    """The bytes of `data:image/png;base64,...` or of plain base64."""
    if not isinstance(text, str):
        raise NoPicture("the answer holds no picture")
    if len(text) > LARGEST * 3 // 2:
        raise NoPicture(f"a picture is larger than {LARGEST >> 20} MiB")
    try:
        return base64.b64decode(text.partition(",")[2] if text.startswith("data:") else text, validate=True)
    except (binascii.Error, ValueError):
        raise NoPicture("a picture is no base64 text") from None


def picture(data: bytes, infotext: object) -> Picture:
    """A PNG from its signature to its end, sizes within limits; without an infotext, the PNG's own `parameters`."""
    if len(data) > LARGEST:
        raise NoPicture(f"a picture is larger than {LARGEST >> 20} MiB")
    if not data.startswith(SIGNATURE):
        kind = "JPEG" if data.startswith(b"\xff\xd8") else "WebP" if data[8:12] == b"WEBP" else "something else"
        raise NoPicture(f"a picture is no PNG but {kind} (WebUI setting samples_format: use png)")
    own, end, width, height = "", 0, 0, 0
    for chunk, place, length in _chunks(data):
        content = data[place : place + length] if chunk in (b"IHDR", b"tEXt", b"iTXt") else b""
        if not width:
            if chunk != b"IHDR" or length != 13:
                break
            width, height = int.from_bytes(content[:4], "big"), int.from_bytes(content[4:8], "big")
            if not (0 < width <= SIDE and 0 < height <= SIDE and width * height <= PIXELS):
                raise NoPicture(f"a picture of {width} x {height} is larger than allowed")
        if chunk == b"tEXt" and content.startswith(b"parameters\0"):
            own = content[11:].decode("latin-1")
        elif chunk == b"iTXt" and content.startswith(b"parameters\0\0\0"):
            own = content[13:].split(b"\0", 2)[-1].decode("utf-8", "replace")
        elif chunk == b"IEND":
            end = place + 4
    if not end:
        raise NoPicture("a picture is not complete")
    return Picture(data[:end], infotext if isinstance(infotext, str) and infotext else own, width, height)


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """(kind, place of the content, its length) until IEND or the end of the data."""
    place = len(SIGNATURE)
    while place + 12 <= len(data):
        length, kind = int.from_bytes(data[place : place + 4], "big"), data[place + 4 : place + 8]
        if place + 12 + length > len(data):
            return
        yield kind, place + 8, length
        if kind == b"IEND":
            return
        place += 12 + length


def without_grid(pictures: list[Picture]) -> list[Picture]:
    """More than one image comes with a grid in front, whatever the payload said; a grid is larger than its parts."""
    if len(pictures) > 1 and pictures[0].width * pictures[0].height > pictures[1].width * pictures[1].height:
        return pictures[1:]
    return pictures


def judge(infotext: str, lora_name: str | None, lora_hash12: str, wanted_model: str | None) -> Verdict:
    """Whether the picture shows what was asked for.

    `lora_name` None is a baseline without a LoRA; an empty `lora_hash12` accepts any hash of that name. `wanted_model`
    may be a name, a file name with folders and extension, `name [hash]`, or None for whatever the server has; a server
    that tells no model is believed.
    """
    hashes = _lora_hashes(infotext)
    if lora_name is not None:
        found = hashes.get(lora_name, "")
        if not found or (lora_hash12 and found.lower() != lora_hash12.lower()):
            return "base model only"
    return "done" if not wanted_model or _same_model(infotext, wanted_model) else "wrong checkpoint"


def explain(verdict: Verdict, infotext: str, lora_name: str | None, wanted_model: str | None) -> str:
    """One sentence about a verdict for a person; empty for "done"."""
    if verdict == "wrong checkpoint":
        return f"drawn by model {_value(infotext, 'Model') or 'unknown'!r} and not by {wanted_model!r}"
    if verdict == "done":
        return ""
    if not infotext:
        return "the server gives no infotext, so nothing proves that the LoRA was used (enable it in its settings)"
    if lora_name in _lora_hashes(infotext):
        return f"another file named {lora_name} was used: the hash in the infotext is not ours"
    return (
        f"the infotext does not show {lora_name}: the server has drawn it without the LoRA "
        '(or its option "Add Lora hashes to infotext" is off)'
    )


def _settings(infotext: str) -> str:
    """The part that the WebUI wrote: a prompt may hold anything, also a line that looks like it."""
    return infotext[infotext.rfind("\nSteps: ") + 1 :]


def _value(infotext: str, key: str) -> str:
    found = re.search(rf'(?:^|, ){re.escape(key)}: (?:"((?:[^"\\]|\\.)*)"|([^,\n]*))', _settings(infotext))
    return (found[1] or found[2] or "").strip() if found else ""


def _lora_hashes(infotext: str) -> dict[str, str]:
    pairs = (each.rpartition(":") for each in _value(infotext, "Lora hashes").split(","))
    return {name.strip(): digest.strip() for name, _, digest in pairs if name}


def _same_model(infotext: str, wanted: str) -> bool:
    name, digest = _value(infotext, "Model"), _value(infotext, "Model hash").lower()
    marked = re.search(r"\s*\[([0-9a-fA-F]{6,64})\]$", wanted)
    if marked and digest:
        return digest.startswith(marked[1].lower()) or marked[1].lower().startswith(digest)
    if not name:
        return True
    plain = re.sub(r"\s*\[[0-9a-fA-F]{6,64}\]$", "", wanted)
    plain = re.sub(r"\.(safetensors|ckpt)$", "", re.split(r"[\\/]", plain)[-1], flags=re.IGNORECASE)
    return _bare(name) == _bare(plain)


def _bare(name: str) -> str:
    return re.sub(r"[,:]", "", name).strip().lower()  # the WebUI takes these out of the name in an infotext
