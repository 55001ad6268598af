"""A PNG from a server, which is not trusted.

Covers: base64 -> bytes; whether they are a whole PNG within limits; its text chunks; whether two hold the same
pixels. Pixels are never decoded, so that a decompression bomb stays harmless. Not: what the text proves (each server's
own module), saving (`image_store`).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

SIGNATURE = b"\x89PNG\r\n\x1a\n"
LARGEST = 32 << 20
"""Bytes of one picture."""
SIDE = 16384
PIXELS = 1 << 27


class BadPicture(ValueError):
    """What the server sent is not an acceptable PNG; the text says why."""


class NotPng(BadPicture):
    """It is a picture in another format: so will be the next one."""


@dataclass(frozen=True)
class Png:
    data: bytes
    """From the signature to the end chunk, without what follows it."""
    width: int
    height: int
    texts: Mapping[str, str]
    """Keyword -> text of the uncompressed text chunks."""


def decoded(text: object) -> bytes:
    """The bytes of `data:image/png;base64,...` or of plain base64."""
    if not isinstance(text, str):
        raise BadPicture("the answer holds no picture")
    if len(text) > LARGEST * 3 // 2:
        raise BadPicture(f"a picture is larger than {LARGEST >> 20} MiB")
    try:
        return base64.b64decode(text.partition(",")[2] if text.startswith("data:") else text, validate=True)
    except (binascii.Error, ValueError):
        raise BadPicture("a picture is not base64 text") from None


def read_png(data: bytes) -> Png:
    if len(data) > LARGEST:
        raise BadPicture(f"a picture is larger than {LARGEST >> 20} MiB")
    if not data.startswith(SIGNATURE):
        found = "JPEG" if data.startswith(b"\xff\xd8") else "WebP" if data[8:12] == b"WEBP" else "something else"
        raise NotPng(f"a picture is not a PNG but {found}")
    width = height = 0
    texts: dict[str, str] = {}
    for kind, place, length in _chunks(data):
        content = data[place : place + length] if kind in (b"IHDR", b"tEXt", b"iTXt") else b""
        if not width:
            if kind != b"IHDR" or length != 13:
                break
            width, height = int.from_bytes(content[:4], "big"), int.from_bytes(content[4:8], "big")
            if not (0 < width <= SIDE and 0 < height <= SIDE and width * height <= PIXELS):
                raise BadPicture(f"a picture of {width} x {height} is larger than allowed")
        elif kind == b"tEXt":
            keyword, _, text = content.partition(b"\0")
            texts[keyword.decode("latin-1")] = text.decode("latin-1")
        elif kind == b"iTXt":
            keyword, _, rest = content.partition(b"\0")
            if rest.startswith(b"\0\0"):  # not compressed; then the language and the translated keyword
                texts[keyword.decode("latin-1")] = rest[2:].split(b"\0", 2)[-1].decode("utf-8", "replace")
        elif kind == b"IEND":
            return Png(data[: place + 4], width, height, texts)
    raise BadPicture("a picture is not complete")


def same_pixels(one: bytes, other: bytes) -> bool:
    """Whether two whole PNGs of one program show the same, whatever their texts say."""
    first, second = (
        [data[place : place + length] for kind, place, length in _chunks(data) if kind in (b"IHDR", b"IDAT")]
        for data in (one, other)
    )
    return first == second


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """(kind, place of the content, its length), as far as whole chunks follow each other."""
    place = len(SIGNATURE)
    while place + 12 <= len(data):
        length, kind = int.from_bytes(data[place : place + 4], "big"), data[place + 4 : place + 8]
        if place + 12 + length > len(data):
            return
        yield kind, place + 8, length
        place += 12 + length
