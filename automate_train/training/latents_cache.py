"""Folders of links to pictures, in which the trainer's cached latents are shared by runs.

Covers: making the links, and whether a folder's cache is filled: exactly one run fills it, then all may read it at
once. Not: which runs may share one (`trainers/sd_scripts/caches`), who may start meanwhile (`placement`).
"""

from __future__ import annotations

import os
from pathlib import Path

from ..records import Cache

FILLED = ".filled"


def link(cache: Cache) -> None:
    """Links to the user's pictures in a folder of ours, so that cache files never land beside the pictures."""
    folder = Path(cache.path)
    folder.mkdir(parents=True, exist_ok=True)
    for name, target in cache.links.items():
        path = folder / name
        if not path.is_symlink() or os.readlink(path) != target:
            path.unlink(missing_ok=True)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(target)


def is_to_fill(cache: Cache) -> bool:
    return cache.fills and not is_filled(cache.path)


def is_filled(cache: str) -> bool:
    """`cache`: its path."""
    return os.path.exists(os.path.join(cache, FILLED))


def mark_filled(cache: str) -> None:
    """From here on several runs may use the cache at once: nobody writes into it any more."""
    os.close(os.open(os.path.join(cache, FILLED), os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666))
