"""Thumbnails: small JPEGs of the samples, each made once.

Covers: their names (of the picture's path, size and time of change), making the missing ones in threads for a bounded
time, removing those that no page shows any more, pictures as `data:` URLs for a page without files beside it.
Not: which pictures there are (`sample_files`). Without Pillow the page shows the originals.
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
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

SIDE, INLINE_SIDE = 256, 640
INSIDE_BYTES = 6_000_000
"""Of thumbnails that are in the page itself: about 500 of photographs."""
QUALITY = 82
MOST_PIXELS = 100_000_000
"""A picture with more is not a sample: a small file can unpack to gigabytes."""
YOUNG = 600.0
"""Seconds in which another report, of newer pictures, may have made a thumbnail that this one does not know."""
NAME = re.compile(r"[0-9a-f]{14}\.jpg")


def name_of(file: str, stamp: str) -> str:
    """The name of the thumbnail of a picture as it is now."""
    return f"{hashlib.sha256(f'{file}|{stamp}|{SIDE}|{QUALITY}'.encode()).hexdigest()[:14]}.jpg"


def have_pillow() -> bool:
    return find_spec("PIL") is not None


def shrink(file: Path, side: int) -> bytes:
    """A picture as JPEG, its longer side at most `side` pixels; transparency becomes grey. `OSError` and `ValueError`
    when the file is not a picture."""
    from PIL import Image  # optional, and 15 ms

    with Image.open(file) as image:
        if image.width * image.height > MOST_PIXELS:
            raise ValueError("too large for a sample")
        image.draft("RGB", (side, side))
        opaque = image
        if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
            transparent = image.convert("RGBA")
            opaque = Image.new("RGB", transparent.size, (128, 128, 128))  # type: ignore[assignment]
            opaque.paste(transparent, mask=transparent.getchannel("A"))
        opaque.thumbnail((side, side), Image.Resampling.BICUBIC, reducing_gap=1.5)
        out = BytesIO()
        opaque.convert("RGB").save(out, "JPEG", quality=QUALITY)
        return out.getvalue()


def make_missing(
    root: Path, wanted: Mapping[str, str], folder: Path, seconds: float, workers: int | None = None
) -> set[str]:
    """Make the missing ones of `wanted` (thumbnail's name -> picture, from `root`) until the time is over; the names
    that exist now. A picture that cannot be read gets none."""
    folder.mkdir(parents=True, exist_ok=True)
    present = {entry.name for entry in os.scandir(folder) if NAME.fullmatch(entry.name)}
    _remove_unused(folder, present - wanted.keys())
    present &= wanted.keys()
    missing = [name for name in wanted if name not in present]
    if not missing or not have_pillow():
        return present
    from PIL import Image  # optional, and 15 ms

    Image.init()  # not by several threads at once
    end = time.monotonic() + seconds
    lock = threading.Lock()
    queue = iter(missing)

    def make_until_end() -> None:
        while time.monotonic() < end:
            with lock:
                name = next(queue, None)
            if name is None:
                return
            try:
                data = shrink(root / wanted[name], SIDE)
                temp = folder / f".{name}.{os.getpid()}"
                temp.write_bytes(data)
                temp.replace(folder / name)
            except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
                continue
            with lock:
                present.add(name)

    count = workers or min(16, os.cpu_count() or 1)
    with ThreadPoolExecutor(count) as pool:
        for future in [pool.submit(make_until_end) for _ in range(count)]:
            future.result()
    return present


def _remove_unused(folder: Path, names: Iterable[str]) -> None:
    """Remove thumbnails that this report does not show, but the young ones."""
    for name in names:
        with contextlib.suppress(OSError):
            if time.time() - (folder / name).stat().st_mtime > YOUNG:
                (folder / name).unlink()


def inside_urls(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Thumbnail -> `data:` URL, of the first `INSIDE_BYTES`: of a page from the disk, a browser saves no
    picture into which a file was drawn."""
    found, left = {}, INSIDE_BYTES
    for name in names:
        with contextlib.suppress(OSError):
            data = (folder / name).read_bytes()
            left -= len(data)
            if left < 0:
                break
            found[name] = _data_url(data)
    return found


def data_urls(root: Path, files: Mapping[str, str]) -> dict[str, str]:
    """Name -> `data:` URL of its picture in 640 px, for a page that is sent as one file. `files`: name -> picture."""
    from PIL import Image  # optional, and 15 ms

    Image.init()

    def data_url(file: str) -> str:
        try:
            return _data_url(shrink(root / file, INLINE_SIDE))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            return ""

    with ThreadPoolExecutor(min(16, os.cpu_count() or 1)) as pool:
        return {name: url for name, url in zip(files, pool.map(data_url, files.values()), strict=True) if url}


def _data_url(jpeg: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
