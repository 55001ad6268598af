"""What a WebUI has drawn, as checked pictures: which of several is the one that was asked for.

Covers: the picture among a grid, ControlNet's maps and the copy before the highres fix, whose order differs between
servers. Not: fetching them (`scheduler`, `txt2img`), what an infotext proves (`lora_proof`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from ..png import BadPicture, NotPng, decoded, read_png
from ..protocol import Failed, Picture
from .lora_proof import shows_seed


def picked(images: Iterable[tuple[object, object]], body: Mapping[str, object]) -> Picture | Failed:
    """From pairs (base64 text or bytes, infotext) the picture that `body` asked for, the others with it: the one of the
    right size whose infotext has the seed; a map has no infotext, or its size tells."""
    try:
        found = [_picture(image, infotext) for image, infotext in images]
    except NotPng as wrong:
        return Failed(f"{wrong} (WebUI setting samples_format: use png)", final=True)
    except BadPicture as wrong:
        return Failed(str(wrong))
    if not found:
        return Failed("the answer holds no picture")
    width, height = _size(body)

    def mismatch(picture: Picture) -> tuple[bool, float]:
        size = abs(picture.width - width) + abs(picture.height - height)
        return not shows_seed(picture.infotext, body.get("seed")), size

    best = min(found, key=mismatch)
    return replace(best, others=tuple(each.png for each in found if each is not best))


def _size(body: Mapping[str, object]) -> tuple[float, float]:
    """Width and height of the picture in the end."""
    width, height = (_number(body.get(name)) or 512 for name in ("width", "height"))
    if not body.get("enable_hr"):
        return width, height
    wide, high = (_number(body.get(name)) for name in ("hr_resize_x", "hr_resize_y"))
    if wide or high:
        return wide or high * width / height, high or wide * height / width
    scale = _number(body.get("hr_scale")) or 2
    return width * scale, height * scale


def _number(value: object) -> float:
    try:
        return float(str(value))
    except ValueError:
        return 0.0


def _picture(image: object, infotext: object) -> Picture:
    """Without an infotext the PNG's own text chunk is taken for it."""
    png = read_png(image if isinstance(image, bytes) else decoded(image))
    told = infotext if isinstance(infotext, str) and infotext else png.texts.get("parameters", "")
    return Picture(png.data, told, png.width, png.height)
