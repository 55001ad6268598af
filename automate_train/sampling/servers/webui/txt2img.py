"""Drawing at once, without a queue; and what a WebUI has drawn, as checked pictures.

Covers: txt2img, the part of `ImageServer` that is about drawing for a WebUI without the agent scheduler, the grid in
front of several pictures. Not: what is sent (`payload`), what an infotext proves (`infotext`).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from ..png import BadPicture, NotPng, decoded, read_png
from ..protocol import Failed, Picture, Progress, Ticket, Unavailable
from .http import MIB, Http

TXT2IMG = "/sdapi/v1/txt2img"
PICTURES = 128 * MIB
"""Bytes of an answer with pictures."""


class AtOnce:
    def __init__(self, http: Http) -> None:
        self._http = http

    def draw(self, body: dict[str, Any], limit_s: float) -> Ticket | Picture | Failed:
        found = txt2img(self._http, body, limit_s)
        return found if isinstance(found, Failed) else found[0]

    def find(self, body: dict[str, Any], known: Collection[Ticket] = ()) -> Ticket | None:
        return None

    def progress(self, tickets: Sequence[Ticket]) -> Progress:
        return Progress(tuple(tickets))

    def collect(self, ticket: Ticket) -> Picture | Failed | None:
        return Failed("it was queued by an earlier session, and the server has no queue any more")

    def withdraw(self, lora: str, tickets: Collection[Ticket]) -> None:
        pass

    def wake(self) -> None:
        pass


def txt2img(http: Http, body: dict[str, Any], limit_s: float) -> list[Picture] | Failed:
    """Draw and wait for it, `limit_s` at most, the time in the server's own line included."""
    answer = http.table("POST", TXT2IMG, json=body, read_s=limit_s, limit=PICTURES)
    try:
        texts = json.loads(str(answer.get("info", ""))).get("infotexts")
    except (ValueError, RecursionError, AttributeError):
        texts = None
    texts, images = texts if isinstance(texts, list) else [], answer.get("images")
    if not isinstance(images, list) or not images:
        raise Unavailable(f"{http.url} answered {TXT2IMG} without a picture")
    texts += [""] * (len(images) - len(texts))
    return pictures(zip(images, texts, strict=False))


def pictures(images: Iterable[tuple[object, object]]) -> list[Picture] | Failed:
    """From pairs (base64 text or bytes, infotext). More than one image comes with a grid in front, whatever was asked
    for; a grid is larger than its parts, and left out."""
    try:
        found = [_picture(image, infotext) for image, infotext in images]
    except NotPng as wrong:
        return Failed(f"{wrong} (WebUI setting samples_format: use png)", final=True)
    except BadPicture as wrong:
        return Failed(str(wrong))
    has_grid = len(found) > 1 and found[0].width * found[0].height > found[1].width * found[1].height
    return found[1:] if has_grid else found


def _picture(image: object, infotext: object) -> Picture:
    """Without an infotext the PNG's own text chunk is taken for it."""
    png = read_png(image if isinstance(image, bytes) else decoded(image))
    told = infotext if isinstance(infotext, str) and infotext else png.texts.get("parameters", "")
    return Picture(png.data, told, png.width, png.height)
