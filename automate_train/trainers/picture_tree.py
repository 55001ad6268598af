"""A folder of pictures as any program may read it: whatever lies below it, whatever the captions are called.

Covers: its pictures, and a folder of links to all of its files but what belongs to held-out pictures. Not: sd-scripts'
datasets, whose rules are known (`sd_scripts/caches`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from ..records import Cache, PictureFolder, SweepContext
from .launch_parts import links_folder

ENDINGS = frozenset(".png .jpg .jpeg .webp .bmp .avif .jxl .gif .tif .tiff".split())
CAPTIONS = (".txt", ".caption")
CACHES = frozenset({".npz", ".npy", ".pt", ".safetensors"})
"""Latents that a program has kept beside its pictures, under names that only it knows: none of them is linked."""


def picture_folders(root: str, endings: Sequence[str] = CAPTIONS) -> Iterator[PictureFolder]:
    """Each folder at or below `root` that holds pictures; `endings`: of captions, the first that is there counts. A
    folder that cannot be read counts as empty."""
    for folder, names in _walk(root):
        there = set(names)
        pictures = [name for name in names if _ending(name) in ENDINGS]
        texts = {name: [os.path.splitext(name)[0] + ending for ending in endings] for name in pictures}
        captions = {name: next((text for text in texts[name] if text in there), "") for name in pictures}
        if pictures:
            yield PictureFolder(folder, {name: text and os.path.join(folder, text) for name, text in captions.items()})


def without_held_out(root: str, context: SweepContext) -> Cache:
    """Links to every file below `root` but held-out pictures, what bears their names with another ending, and caches. A
    list of all pictures, such as metadata.jsonl, is linked as it is."""
    links, state = {}, []
    for folder, names in _walk(root):
        real = os.path.realpath(folder)
        held_out = {name for name in names if os.path.join(real, name) in context.held_out}
        stems = tuple(os.path.splitext(name)[0] + "." for name in held_out)
        for name in names:
            ending = _ending(name)
            if name in held_out or ending in CACHES or (name.startswith(stems) and ending not in ENDINGS):
                continue
            path = os.path.join(folder, name)
            links[os.path.relpath(path, root)] = path
            stat = os.lstat(path)
            state.append((path, stat.st_size, stat.st_mtime_ns))
    return Cache(links_folder({"tree": root, "files": state}, root, context), links, fills=False)


def _walk(folder: str, above: frozenset[str] = frozenset()) -> Iterator[tuple[str, list[str]]]:
    """(folder, its files) of a folder and all below it. `above`: where a link would lead round in a circle."""
    real = os.path.realpath(folder)
    if real in above:
        return
    try:
        with os.scandir(folder) as found:
            entries = sorted((entry.name, entry.is_dir()) for entry in found)
    except OSError:
        return
    yield folder, [name for name, is_folder in entries if not is_folder]
    for name, is_folder in entries:
        if is_folder:
            yield from _walk(os.path.join(folder, name), above | {real})


def _ending(name: str) -> str:
    return os.path.splitext(name)[1].lower()
