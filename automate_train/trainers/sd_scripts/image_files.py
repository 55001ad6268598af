"""What is in an image folder: images, captions, sub-folders like `10_name`.

Covers: listings, read once while the folder does not change; which caption file sd-scripts reads for an image.
Not: what is wrong with them (`dataset_checks`), what goes into the dataset TOML (`dataset`).
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping, Set
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from types import MappingProxyType

ENDINGS = frozenset(
    ending for name in "png jpg jpeg webp bmp avif jxl".split() for ending in (f".{name}", f".{name.upper()}")
)
"""What sd-scripts takes for an image, but not `.Png`; avif and jxl where the trainer's Pillow reads them."""

BEGINNINGS = (
    b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF", b"BM", b"GIF8", b"II*\0", b"MM\0*", b"\xff\x0a", b"\0\0\0\x0cJXL ",
)  # fmt: skip
"""First bytes of pictures, whatever they are named; AVIF has `ftyp` from the fifth byte on."""
END_OF_PNG, END_OF_JPEG = b"IEND\xaeB`\x82", b"\xff\xd9"
TAIL = 4096
SECONDS = 5.0
"""The longest that one folder's pictures are looked at: 10,000 small ones that are in the page cache took 0.1 s."""

REPEATS = re.compile(r"(\d+)(?:_(.*))?", re.DOTALL)


@dataclass(frozen=True)
class Folder:
    path: str
    files: Mapping[str, tuple[int, int]]
    """Name -> (size in bytes, modification time in ns); -1 for a broken link."""
    folders: tuple[str, ...]

    @property
    def images(self) -> list[str]:
        return sorted(name for name in self.files if os.path.splitext(name)[1] in ENDINGS)

    def without(self, held_out: Set[str]) -> list[str]:
        """The images that may be trained on. `held_out`: real paths."""
        folder = os.path.realpath(self.path) if held_out else ""
        return [name for name in self.images if os.path.join(folder, name) not in held_out]

    @cached_property
    def broken_images(self) -> dict[str, str]:
        """Image -> why the trainer cannot read it, as far as its first and last bytes tell within SECONDS."""
        found, until = {}, time.monotonic() + SECONDS
        for name in self.images:
            if time.monotonic() >= until:
                break
            if reason := _broken(os.path.join(self.path, name), self.files[name][0]):
                found[name] = reason
        return found

    def captions(self, extension: str) -> dict[str, str]:
        """Image -> the caption file that sd-scripts reads for it."""
        found = {}
        for image in self.images:
            stem = os.path.splitext(image)[0]
            # sd-scripts also tries the name without the four numbers of a face box at its end.
            parts = os.path.join(self.path, stem).split("_")
            boxless = os.path.basename("_".join(parts[:-4])) if len(parts) >= 5 else stem
            for name in (stem + extension, boxless + extension):
                if self.files.get(name, (-1, 0))[0] >= 0:
                    found[image] = name
                    break
        return found


def _broken(path: str, size: int) -> str:
    if size <= 0:
        return "leads nowhere" if size else "is empty"
    try:
        with open(path, "rb") as file:
            head = file.read(12)
            if not head.startswith(BEGINNINGS) and head[4:8] != b"ftyp":
                return "is not a picture"
            file.seek(max(0, size - TAIL))
            tail = file.read()
            if head.startswith(b"RIFF"):
                return "ends too early" if int.from_bytes(head[4:8], "little") + 8 > size else ""
            end = END_OF_PNG if head.startswith(b"\x89PNG") else END_OF_JPEG if head.startswith(b"\xff\xd8") else b""
            if end in tail:
                return ""
            file.seek(0)  # phones and other programs append more than TAIL bytes
            return "" if end in _after_previews(file.read(), end) else "ends too early"
    except OSError as error:
        return f"cannot be read ({error.strerror})"


def _after_previews(data: bytes, end: bytes) -> bytes:
    """A JPEG from its own pixels on: the segments before them may hold a preview with an end of its own."""
    at = 2
    while end == END_OF_JPEG and data[at : at + 1] == b"\xff" and data[at + 1 : at + 2] != b"\xda":
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return data[at:]


def listing(path: str) -> Folder:
    """The folder's content; `OSError` or `ValueError` (NUL) when it cannot be read. Read again only when the folder
    itself has changed: good for questions about names, not for `caches`, which needs every file's latest state."""
    return _listing(path, os.stat(path).st_mtime_ns)


@lru_cache(maxsize=512)
def _listing(path: str, changed: int) -> Folder:
    return listing_now(path)


def listing_now(path: str) -> Folder:
    files: dict[str, tuple[int, int]] = {}
    folders = []
    with os.scandir(path) as entries:
        for entry in entries:
            if entry.is_dir():
                folders.append(entry.name)
                continue
            try:
                stat = entry.stat()
                files[entry.name] = (stat.st_size, stat.st_mtime_ns)
            except OSError:
                files[entry.name] = (-1, 0)
    return Folder(path, MappingProxyType(dict(sorted(files.items()))), tuple(sorted(folders)))


def repeats_and_class(name: str) -> tuple[int, str] | None:
    """`10_name` -> (10, "name"), as sd-scripts reads a sub-folder's name; None where it begins with no number."""
    match = REPEATS.fullmatch(name)
    if match is None or int(match[1]) < 1 or len(match[1]) > 9:
        return None
    return int(match[1]), match[2] or ""


def bad_captions(folder: Folder, extension: str) -> list[str]:
    """Caption files that stop the trainer: empty, or not in UTF-8."""
    return [name for name in set(folder.captions(extension).values()) if not _readable(folder, name)]


def _readable(folder: Folder, name: str) -> bool:
    return _utf8(os.path.join(folder.path, name), *folder.files[name])


@lru_cache(maxsize=200_000)
def _utf8(path: str, size: int, changed: int) -> bool:
    try:
        return bool(Path(path).read_bytes().decode("utf-8"))
    except (OSError, ValueError):
        return False
