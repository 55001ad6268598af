"""A sweep's folder -> `report.html` and the files beside it.

Covers: reading the journal and the attempts, thumbnails within their time, writing the page. What was read of finished
runs is remembered in `report_files/read/`. Not: the parts themselves (`memory`, `data`, `thumbs`, `page`).
"""

from __future__ import annotations

import contextlib
import os
import shlex
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ..errors import UserError
from ..store.journal import Journal, Row
from ..store.layout import AttemptFolder, SweepFolder, replace
from . import sample_files as pictures
from . import thumbs
from .cache import Reading, launch_of, look, pack
from .page import render
from .page_data import Found, assemble

PAGE = "report.html"


@dataclass(frozen=True)
class Built:
    page: Path
    runs: int
    pictures: int
    thumbs: int
    """How many of the pictures have one."""


def build(
    folder: SweepFolder, *, out: Path | None = None, inline: bool = False,
    marks: Sequence[Mapping[str, Any]] = (), seconds: float = 45.0, strips: bool = True,
) -> Built:  # fmt: skip
    """Write the page (default: into the sweep's folder). New thumbnails are made until `seconds` are over, those that
    the page shows first before the others. `OSError` when the disk refuses; `UserError` for an unreadable journal."""
    root = Path(folder.path)
    began = time.monotonic()
    page = (out or root / PAGE).absolute()
    beside = page.with_name(f"{page.stem}_files")
    found = gather(folder)
    wanted = {
        thumbs.name_of(each["file"], each["stamp"]): each["file"]
        for each in [*(each.as_json() for each in found.baselines), *_pictures(found)]
        if each["file"]
    }
    packed: dict[str, str] = {}
    if inline:
        if not thumbs.have_pillow():
            raise UserError("needs Pillow", key="--inline", hint="pip install 'automate-train[report]'")
        urls = thumbs.inline(root, sorted(wanted.values()))
        number = {file: f"picture-{at}" for at, file in enumerate(urls)}
        packed = {number[file]: url for file, url in urls.items()}
        made = {name for name, file in wanted.items() if file in urls}
    else:
        made = thumbs.make(root, wanted, beside / "thumbs", seconds - (time.monotonic() - began))

    home = os.path.relpath(root, page.parent).replace(os.sep, "/")

    def link(path: str) -> str:
        if os.path.isabs(path):
            return quote(os.path.relpath(path, page.parent).replace(os.sep, "/"))
        return quote(path if home == "." else f"{home}/{path}")

    def thumb(file: str, stamp: str) -> str:
        name = thumbs.name_of(file, stamp)
        if inline:
            return f"#{number[file]}" if file in number else ""
        return name if name in made else link(file)

    data = assemble(found, thumb, link, marks)
    data |= {
        "thumbs": quote(f"{beside.name}/thumbs/"),
        "root": quote(home) + "/",
        "at": round(time.time(), 3),
        "ratio": _ratio(root, found),
    }
    packed |= {f"packed-details-{at}": each.details for at, each in enumerate(found.readings) if each and each.details}
    packed["packed-details-baseline"] = pack([{"file": each.file, **each.about} for each in found.baselines])
    packed["packed-curves"] = pack([each.told["curves"] if each else {} for each in found.readings])
    packed["packed-commands"] = pack([_command(root, row) for row in found.rows])
    page.parent.mkdir(parents=True, exist_ok=True)
    replace(page, render(data, packed))
    if strips:
        from .strips import write_strips

        with contextlib.suppress(OSError):  # the LoRAs' folder may be on a disk that is not here any more
            write_strips(found, root)
    return Built(page, len(found.rows), len(wanted), len(made))


def gather(folder: SweepFolder) -> Found:
    """Everything that the journal and the attempts tell now."""
    root = Path(folder.path)
    journal = Journal(folder.journal, read_only=True)
    try:
        rows, notes = list(journal.rows()), journal.notes()
    finally:
        journal.close()
    kept = root / "report_files" / "read"
    kept.mkdir(parents=True, exist_ok=True)

    def reading(row: Row) -> Reading | None:
        if not row.folder:
            return None
        return look(AttemptFolder(root / row.folder), root, kept, row.options.get("prompt_path"))

    return Found(rows, [reading(row) for row in rows], pictures.baselines(root), notes, root.name, str(root))


def _pictures(found: Found) -> list[dict[str, Any]]:
    """The newest moments first, of them the first prompt."""
    each = (picture for reading in found.readings if reading for picture in reading.pictures)
    return sorted(each, key=lambda picture: (-(picture["epoch"] or picture["step"] or 0), picture["prompt"]))


def _ratio(root: Path, found: Found) -> float:
    """Width by height of the cells: what most runs' first pictures have. From the PNGs' headers."""
    ratios = Counter(
        _shape(root / next((each["file"] for each in reading.pictures if each["file"]), ""))
        for reading in found.readings
        if reading and reading.pictures
    )
    return next((min(2.5, max(0.4, ratio)) for ratio, _ in ratios.most_common() if ratio), 1.0)


def _shape(file: Path) -> float:
    try:
        with open(file, "rb") as opened:
            start = opened.read(24)
        width, height = int.from_bytes(start[16:20], "big"), int.from_bytes(start[20:24], "big")
        return round(width / height, 3) if start.startswith(b"\x89PNG") else 0.0
    except (OSError, ZeroDivisionError):
        return 0.0


def _command(root: Path, row: Row) -> str:
    """What to type to train this run by hand; "" before it has begun."""
    launch = launch_of(root / row.folder) if row.folder else {}
    try:
        env = [f"{name}={value}" for name, value in launch["env"].items()]
        words = [*(["env", *env] if env else []), *map(str, launch["argv"])]
        return f"cd {shlex.quote(str(launch['cwd']))} && {shlex.join(words)}"
    except (KeyError, AttributeError, TypeError):
        return ""
