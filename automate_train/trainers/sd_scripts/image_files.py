"""What is in an image folder: images, captions, sub-folders like `10_name`.

Covers: listings, read once while the folder does not change; which caption file sd-scripts reads for an image.
Not: what is wrong with them (`dataset_checks`), what goes into the dataset TOML (`dataset`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

ENDINGS = frozenset(
    ending for name in "png jpg jpeg webp bmp avif jxl".split() for ending in (f".{name}", f".{name.upper()}")
)
"""What sd-scripts takes for an image, but not `.Png`; avif and jxl where the trainer's Pillow reads them."""

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
