"""Thumbnails: small JPEGs of the samples, each made once.

Covers: their names (by the picture's place, size and time of change), making those that are missing in threads for a
bounded time, removing those that nothing shows any more, pictures as `data:` for a page without files beside it.
Not: which pictures there are (`pictures`). Without Pillow the page shows the originals.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import re
import threading
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

SIDE, INLINE_SIDE = 256, 640
QUALITY = 82
MOST_PIXELS = 100_000_000
"""A picture with more is no sample: a small file can unpack to gigabytes."""
YOUNG = 600.0
"""Seconds in which a report that is being made may still not know of a thumbnail."""
NAME = re.compile(r"[0-9a-f]{14}\.jpg")


def name_of(file: str, stamp: str) -> str:
    """The thumbnail of a picture as it is now."""
    return f"{hashlib.sha256(f'{file}|{stamp}|{SIDE}|{QUALITY}'.encode()).hexdigest()[:14]}.jpg"


def have_pillow() -> bool:
    from importlib.util import find_spec

    return find_spec("PIL") is not None


def small(file: Path, side: int) -> bytes:
    """A picture as JPEG, its longer side at most `side` pixels; transparency becomes grey. `OSError` and `ValueError`
    where it is none."""
    from PIL import Image

    with Image.open(file) as image:
        if image.width * image.height > MOST_PIXELS:
            raise ValueError("too large for a sample")
        image.draft("RGB", (side, side))
        plain = image
        if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
            seen = image.convert("RGBA")
            plain = Image.new("RGB", seen.size, (128, 128, 128))  # type: ignore[assignment]
            plain.paste(seen, mask=seen.getchannel("A"))
        plain.thumbnail((side, side), Image.Resampling.BICUBIC, reducing_gap=1.5)
        out = BytesIO()
        plain.convert("RGB").save(out, "JPEG", quality=QUALITY)
        return out.getvalue()


def make(root: Path, wanted: Mapping[str, str], folder: Path, seconds: float, workers: int | None = None) -> set[str]:
    """Make the missing ones of `wanted` (thumbnail's name -> picture, from `root`) until the time is over; returns the
    names that are there. A picture that cannot be read gets none."""
    folder.mkdir(parents=True, exist_ok=True)
    there = {entry.name for entry in os.scandir(folder) if NAME.fullmatch(entry.name)}
    _sweep_out(folder, there - wanted.keys())
    there &= wanted.keys()
    missing = [name for name in wanted if name not in there]
    if not missing or not have_pillow():
        return there
    from PIL import Image

    Image.init()  # not by several threads at once
    end = time.monotonic() + seconds
    lock = threading.Lock()
    todo = iter(missing)

    def work() -> None:
        while time.monotonic() < end:
            with lock:
                name = next(todo, None)
            if name is None:
                return
            try:
                data = small(root / wanted[name], SIDE)
                half = folder / f".{name}.{os.getpid()}"
                half.write_bytes(data)
                half.replace(folder / name)
            except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
                continue
            with lock:
                there.add(name)

    count = workers or min(16, os.cpu_count() or 1)
    with ThreadPoolExecutor(count) as pool:
        for future in [pool.submit(work) for _ in range(count)]:
            future.result()
    return there


def _sweep_out(folder: Path, names: Iterable[str]) -> None:
    """What nothing shows any more; but for the youngest, which another report may have made for a newer picture."""
    for name in names:
        with contextlib.suppress(OSError):
            if time.time() - (folder / name).stat().st_mtime > YOUNG:
                (folder / name).unlink()


def inline(root: Path, files: Iterable[str]) -> dict[str, str]:
    """Picture -> `data:` URL, for a page that is sent as one file."""
    from PIL import Image

    Image.init()

    def one(file: str) -> tuple[str, str]:
        try:
            return file, "data:image/jpeg;base64," + base64.b64encode(small(root / file, INLINE_SIDE)).decode()
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            return file, ""

    with ThreadPoolExecutor(min(16, os.cpu_count() or 1)) as pool:
        return {file: url for file, url in pool.map(one, files) if url}
