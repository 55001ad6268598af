"""What a WebUI has drawn: pictures out of an answer, checked, with their infotexts.

Covers: base64 or bytes -> `Picture`, the grid in front of several. Not: what an infotext proves (`infotext`).
"""

from __future__ import annotations

from collections.abc import Iterable

from ..png import BadPicture, NotPng, decoded, read_png
from ..protocol import Failed, Picture


def pictures(images: Iterable[tuple[object, object]]) -> list[Picture] | Failed:
    """From pairs (base64 text or bytes, infotext). Without an infotext the PNG's own text chunk is taken for it."""
    try:
        return _without_grid([_picture(image, infotext) for image, infotext in images])
    except NotPng as wrong:
        return Failed(f"{wrong} (WebUI setting samples_format: use png)", final=True)
    except BadPicture as wrong:
        return Failed(str(wrong))


def _picture(image: object, infotext: object) -> Picture:
    png = read_png(image if isinstance(image, bytes) else decoded(image))
    told = infotext if isinstance(infotext, str) and infotext else png.texts.get("parameters", "")
    return Picture(png.data, told, png.width, png.height)


def _without_grid(found: list[Picture]) -> list[Picture]:
    """More than one image comes with a grid in front, whatever was asked for; a grid is larger than its parts."""
    if len(found) > 1 and found[0].width * found[0].height > found[1].width * found[1].height:
        return found[1:]
    return found
