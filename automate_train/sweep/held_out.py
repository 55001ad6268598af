"""Which pictures no run of the sweep may see: chosen once, by content, in proportion to each folder's size.

Covers: the choice, near-duplicates of what is chosen, and what became of a choice when the folders have changed. The
order is that of the files' SHA-256, so the same pictures give the same choice whatever their names. A picture that has
near-duplicates costs more pictures than one: it is chosen only where too few others are left, and then they are held
out with it. Not: which folders a run trains on, leaving pictures out (`trainers`), the file (`store.held_out`).

`UserError` where a choice cannot be made. numpy and Pillow are imported by `same_picture`, which costs 150 ms: only a
sweep with `held_out` imports this.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from ..errors import UserError
from ..records import PictureFolder
from ..same_picture import Look, look, same
from ..store.held_out import CHOSEN, HeldOut, HeldOutPicture, caption_text

KEY = "held_out"


class Picture(NamedTuple):
    path: str
    """In the folder's real path, so that two names of one folder are the same."""
    folder: PictureFolder
    sha256: str
    look: Look | None
    """None where it cannot be compared but by its bytes: of one colour, or not readable."""

    @property
    def place(self) -> str:
        return os.path.dirname(self.path)

    @property
    def has_name(self) -> bool:
        """Its scores can be written down: their file is UTF-8."""
        return self.path.isascii() or self.path == self.path.encode(errors="replace").decode()


def read(folders: Iterable[PictureFolder]) -> list[Picture]:
    """Every picture of the folders once, in the order of its content. 200 photographs of 1024 px take a second on two
    cores."""
    files: dict[str, PictureFolder] = {}
    for folder in folders:
        real = os.path.realpath(folder.path)
        for name in folder.captions:
            files.setdefault(os.path.join(real, name), folder)
    pool = ThreadPoolExecutor()  # decoding and hashing release the interpreter's lock
    try:
        found = [each for each in pool.map(_read, files.items()) if each is not None]
    finally:
        pool.shutdown(cancel_futures=True)  # Ctrl-C waits for no more than what is being read
    return sorted(found, key=lambda each: (each.sha256, each.path))


def _read(file: tuple[str, PictureFolder]) -> Picture | None:
    path, folder = file
    try:
        digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError:
        return None  # the preflight says so
    return Picture(path, folder, digest, look(path))


def listing(folders: Iterable[PictureFolder], known: HeldOut | None = None) -> str:
    """Digest of the names, sizes and times of the folders' pictures, and of those that are held out already."""
    paths = {os.path.join(os.path.realpath(folder.path), name) for folder in folders for name in folder.captions}
    paths |= {each.path for each in known.pictures} if known else set()
    state = []
    for path in sorted(paths):
        try:
            stat = os.stat(path)
            state.append((path, stat.st_size, stat.st_mtime_ns))
        except OSError:
            state.append((path, -1, 0))
    return hashlib.sha256(repr(state).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def choose(request: int | float, folders: Sequence[PictureFolder]) -> HeldOut:
    """`request`: how many pictures, or (below 1) their share."""
    pictures = read(folders)
    trained = [each for each in pictures if not each.folder.regular]
    count = int(request) if request >= 1 else max(1, round(request * len(trained)))
    if count >= len(trained):
        text = f"{count} of {len(trained)} pictures are to be held out: none would be left to train on"
        raise UserError(text, key=KEY, hint="hold out fewer")
    choice, quotas = _Choice(pictures, trained), _quotas(count, trained)
    for alone in (True, False):  # those with near-duplicates only where the others do not suffice
        for place in quotas:
            wanted = min(quotas[place] - choice.counts[place], count - len(choice.taken))
            choice.take(wanted, [each for each in trained if each.place == place], alone)
        choice.take(count - len(choice.taken), trained, alone)
    if len(choice.taken) < count:
        text = f"only {len(choice.taken)} of {count} pictures can be held out: the others are near-duplicates of "
        text += (
            "pictures that are trained on, of one colour, the last of their folder, or have a path that is not in UTF-8"
        )
        raise UserError(text, key=KEY, hint="hold out fewer, or name a folder of other pictures")
    return _made(request, trained, choice.taken, choice.copies, folders)


class _Choice:
    """What has been taken so far."""

    def __init__(self, pictures: Sequence[Picture], trained: Sequence[Picture]) -> None:
        self.pictures = pictures
        self.left = Counter(each.place for each in trained)
        self.counts: Counter[str] = Counter()
        self.taken: dict[str, Picture] = {}
        """By path, as below."""
        self.copies: dict[str, Picture] = {}
        """A near-duplicate's path -> what it is one of."""
        self._groups: dict[str, list[Picture]] = {}

    def take(self, count: int, candidates: Sequence[Picture], alone: bool) -> None:
        """Up to `count` more. `alone`: without near-duplicates; else those with the fewest first."""
        if not alone and count > 0:
            candidates = sorted(candidates, key=lambda each: (len(self._group(each)), each.sha256))
        for each in candidates:
            if count <= 0:
                return
            if each.look is None or not each.has_name or each.path in self.copies or each.path in self.taken:
                continue
            group = self._group(each)
            if (alone and group) or any(other.folder.regular or other.path in self.taken for other in group):
                continue
            new = [other for other in group if other.path not in self.copies]
            costs = Counter(other.place for other in [each, *new])
            if any(self.left[place] <= cost for place, cost in costs.items()):
                continue
            self.left.subtract(costs)
            self.counts[each.place] += 1
            self.taken[each.path] = each
            self.copies |= {other.path: each for other in new}
            count -= 1

    def _group(self, picture: Picture) -> list[Picture]:
        """The near-duplicates of a picture."""
        if picture.path not in self._groups:
            self._groups[picture.path] = copies_of(picture, self.pictures)
        return self._groups[picture.path]


def copies_of(one: Picture, pictures: Sequence[Picture]) -> list[Picture]:
    """Those that show the same picture, or are the same file."""
    others = [each for each in pictures if each.path != one.path]
    found = {each.path for each in others if each.sha256 == one.sha256}
    if one.look is not None:
        seen = [(each, each.look) for each in others if each.look is not None]
        most = 4
        while len(matches := same(one.look, [look for _, look in seen], most)) == most < len(seen):
            most *= 4
        found |= {seen[match.at][0].path for match in matches}
    return [each for each in others if each.path in found]


def _quotas(count: int, trained: Sequence[Picture]) -> dict[str, int]:
    """How many of each folder: its share of `count`, the largest remainders rounded up; a tie goes by content."""
    sizes = Counter(each.place for each in trained)
    first = {place: number for number, place in enumerate(dict.fromkeys(each.place for each in trained))}
    exact = {place: count * size / len(trained) for place, size in sizes.items()}
    quotas = {place: int(share) for place, share in exact.items()}
    by_remainder = sorted(sizes, key=lambda place: (quotas[place] - exact[place], first[place]))
    for place in by_remainder[: count - sum(quotas.values())]:
        quotas[place] += 1
    return quotas


def choose_others(request: str, others: Sequence[PictureFolder], folders: Sequence[PictureFolder]) -> HeldOut:
    """A folder of other pictures is the choice; what is a near-duplicate of one of them is kept from the runs."""
    pictures = read(folders)
    trained = [each for each in pictures if not each.folder.regular]
    taken: dict[str, Picture] = {}
    copies: dict[str, Picture] = {}
    for one in {each.sha256: each for each in read(others)}.values():
        group = copies_of(one, pictures)
        if one.has_name and not any(each.folder.regular for each in group):  # what all runs see is no held-out picture
            taken[one.path] = one
            copies |= {each.path: one for each in group if each.path not in copies}
    if not taken:
        raise UserError(f"no picture of {request} can be held out", key=KEY, hint="name a folder of other pictures")
    _refuse_empty(trained, copies.keys() | taken.keys())
    return _made(request, trained, taken, copies, folders)


def still(known: HeldOut, folders: Sequence[PictureFolder]) -> tuple[HeldOut, list[str]]:
    """A choice that was made before, with the near-duplicates that have come since, and what there is to say of it."""
    if known.seen == listing(folders, known):
        return known, []
    trained = [each for each in read(folders) if not each.folder.regular]
    by_content = {each.sha256: each for each in reversed(trained)}
    said: list[str] = []
    copies: dict[str, HeldOutPicture] = {}
    for each in known.chosen:
        folder = PictureFolder(each.subset, {os.path.basename(each.path): each.caption})
        now = _read((each.path, folder))
        if now is None or now.sha256 != each.sha256:
            what = "is gone" if now is None else "has changed"
            said.append(f"the held-out picture {each.path} {what}: nothing can be measured on it until it is back")
            now = by_content.get(each.sha256)
        one = now or Picture(each.path, folder, each.sha256, None)
        why = f"near-duplicate of {each.name}"
        copies |= {other.path: _entry(other, why, other.path) for other in [*copies_of(one, trained), one]}
    held_out = {each.path for each in known.pictures}
    new = [entry for path, entry in copies.items() if path not in held_out]
    _refuse_empty(trained, held_out | copies.keys())
    now_known = known._replace(pictures=(*known.pictures, *new))
    return now_known._replace(seen=listing(folders, now_known)), said


def _refuse_empty(trained: Sequence[Picture], held_out: Set[str]) -> None:
    left = Counter(each.place for each in trained if each.path not in held_out)
    for place in dict.fromkeys(each.place for each in trained):
        if not left[place]:
            text = f"every picture of {place} is held out or a near-duplicate of one that is: none is left to train on"
            raise UserError(text, key=KEY, hint="take that folder out, or hold out other pictures")


def _made(
    request: int | float | str, trained: Sequence[Picture], taken: Mapping[str, Picture],
    copies: Mapping[str, Picture], folders: Sequence[PictureFolder],
) -> HeldOut:  # fmt: skip
    names = _names(list({**taken, **copies}))
    entries = [_entry(each, CHOSEN, names[path]) for path, each in taken.items()]
    by_path = {each.path: each for each in trained}
    for path, one in copies.items():
        if path not in taken:
            entries.append(_entry(by_path[path], f"near-duplicate of {names[one.path]}", names[path]))
    content = "".join(sorted(each.sha256 for each in taken.values()))
    digest = hashlib.sha256(content.encode()).hexdigest()[:8]
    held_out = HeldOut(request, len(trained), digest, tuple(entries))
    return held_out._replace(seen=listing(folders, held_out))


def _names(paths: Sequence[str]) -> dict[str, str]:
    """Path -> its last part, or its last two, or all of it: the shortest that no other path has."""
    parts = {path: path.split(os.sep) for path in paths}
    count = Counter(os.sep.join(each[-length:]) for each in parts.values() for length in (1, 2))
    ends = {path: (os.sep.join(each[-1:]), os.sep.join(each[-2:])) for path, each in parts.items()}
    return {path: next((end for end in ends[path] if count[end] == 1), path) for path in paths}


def _entry(picture: Picture, why: str, name: str) -> HeldOutPicture:
    caption = picture.folder.captions.get(os.path.basename(picture.path), "")
    text = caption_text(caption) or ""
    return HeldOutPicture(picture.path, picture.folder.path, name, picture.sha256, caption, why, text)
