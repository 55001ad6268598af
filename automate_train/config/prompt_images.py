"""Images in prompts: which fields hold them, which file a text names, the file as base64.

Covers: image fields at any depth, paths relative to the prompt file, recognizing a picture by its first bytes.
Not: the rest of a prompt (`prompts`). Image files are read; nothing else is touched.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from pathlib import Path

from ..errors import UserError

FIELDS = frozenset("init_images image images input_image mask mask_image image_mask effective_region_mask".split())
"""Fields whose text may name an image file: img2img's own, a ControlNet unit's (`image`, older `input_image`, `mask`,
`effective_region_mask`), and what other always-on scripts call so. The text of any other field is never a file."""
ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif")
MAX_BYTES = 32 << 20


def replaced(name: str, value: object, image: Callable[[str], str]) -> object:
    """A copy in which `image` has replaced the texts of image fields; a list's items have the list's name."""
    if isinstance(value, dict):
        return {inner: replaced(inner, each, image) for inner, each in value.items()}
    if isinstance(value, list):
        return [replaced(name, each, image) for each in value]
    return image(value) if isinstance(value, str) and name in FIELDS else value


def inline(text: str) -> bool:
    """Whether the text is the picture itself or its address, not the name of a file."""
    if text.startswith(("data:", "http://", "https://")):
        return True
    try:
        return _is_image(base64.b64decode(text[:64], validate=True))
    except ValueError:
        return False


def find(text: str, file: str, where: str) -> Path | None:
    """The image file that `text` names, seen from the folder of the prompt file `file`; None where it is not a file's
    name (`None`, `auto`, base64). `UserError` at `where` when it ends like an image and cannot be sent."""
    if not text or len(text) > 1000 or inline(text):
        return None
    path = Path(file).parent / os.path.expanduser(text)
    try:
        size = path.stat().st_size if path.is_file() else -1
        if size >= 0:
            with path.open("rb") as opened:
                head = opened.read(16)
    except OSError as error:
        size, why = -1, f"{path} cannot be read: {error.strerror}"
    else:
        why = f"there is no image {path}"
    if size >= 0 and _is_image(head) and size <= MAX_BYTES:
        return path
    if not text.lower().endswith(ENDINGS):
        return None
    if size > MAX_BYTES:
        raise UserError(f"{path} is larger than {MAX_BYTES >> 20} MiB", source=where)
    if size >= 0:
        raise UserError(f"{path} is not an image", source=where, hint="allowed: PNG, JPEG, WebP, GIF, BMP, TIFF, AVIF")
    raise UserError(why, source=where, hint="a relative path starts at the prompt file's folder")


def encoded(text: str, file: str, where: str) -> str:
    """The file's bytes as base64 if the text names an image file (see `find`), else the text."""
    path = find(text, file, where)
    if path is None:
        return text
    try:
        return base64.b64encode(path.read_bytes()).decode()  # plain: older ControlNets do not know `data:image/...`
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}", source=where) from None


def _is_image(head: bytes) -> bool:
    """By the first bytes: PNG, JPEG, GIF, BMP, TIFF, WebP, AVIF."""
    return (
        head.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\0", b"MM\0*"))
        or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")
        or head[4:12] == b"ftypavif"
    )
