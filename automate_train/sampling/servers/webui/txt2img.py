"""Drawing at once, without a queue.

Covers: txt2img, the part of `ImageServer` that is about drawing for a WebUI without the agent scheduler. Not: what is
sent (`payload`), which picture of the answer is the one (`drawn_pictures`).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence

from ..protocol import Failed, Picture, Progress, Ticket, Unavailable
from .drawn_pictures import picked
from .http import MIB, Http

TXT2IMG = "/sdapi/v1/txt2img"
PICTURES = 128 * MIB
"""Bytes of an answer with pictures."""


class AtOnce:
    def __init__(self, http: Http) -> None:
        self._http = http

    def draw(self, body: dict[str, object], limit_s: float) -> Ticket | Picture | Failed:
        return txt2img(self._http, body, limit_s)

    def find(self, body: dict[str, object], known: Collection[Ticket] = ()) -> Ticket | None:
        return None

    def progress(self, tickets: Sequence[Ticket]) -> Progress:
        return Progress(tuple(tickets))

    def collect(self, body: dict[str, object], ticket: Ticket) -> Picture | Failed | None:
        return Failed("it was queued by an earlier session, and the server has no queue any more")

    def withdraw(self, lora: str, tickets: Collection[Ticket]) -> None:
        pass

    def wake(self) -> None:
        pass


def txt2img(http: Http, body: dict[str, object], limit_s: float) -> Picture | Failed:
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
    return picked(zip(images, texts, strict=False), body)
