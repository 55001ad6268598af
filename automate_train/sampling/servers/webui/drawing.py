"""The two ways in which a WebUI draws: through the agent scheduler's queue, or at once by txt2img.

Covers: the half of `ImageServer` that differs between them. Not: what is sent (`payload`), the routes of the queue
(`scheduler`).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any

from ..protocol import Failed, Picture, Progress, Ticket, Unavailable
from .drawn import pictures
from .http import Http
from .scheduler import PICTURES, Scheduler, Waiting

TXT2IMG = "/sdapi/v1/txt2img"


class Queued:
    def __init__(self, http: Http) -> None:
        self._scheduler = Scheduler(http)

    def draw(self, body: dict[str, Any], limit_s: float) -> Ticket | Picture | Failed:
        return self._scheduler.queue(body)

    def find(self, body: dict[str, Any], known: Collection[Ticket]) -> Ticket | None:
        return self._scheduler.find(str(body["prompt"]), int(body["seed"]), known)

    def progress(self, tickets: Sequence[Ticket]) -> Progress:
        queue = self._scheduler.state()
        more_pages = queue.total > len(queue.pending_ids)
        finished, waits = [], False
        for ticket in tickets:
            if ticket in queue.pending_ids:
                waits = more_pages  # the queue keeps its order: what we queued later waits on a page that we do not see
            elif not waits and ticket != queue.current:
                finished.append(ticket)
        return Progress(tuple(finished), queue.total, queue.current, queue.paused)

    def collect(self, ticket: Ticket) -> Picture | Failed | None:
        found = self._scheduler.result(ticket)
        if isinstance(found, Waiting):
            return None
        return found if isinstance(found, Failed) else found[0]

    def withdraw(self, lora: str, tickets: Collection[Ticket]) -> None:
        lost = self._scheduler.waiting_with(lora) if lora and "" in tickets else []
        for ticket in {*tickets, *lost} - {""}:
            self._scheduler.cancel(ticket)

    def wake(self) -> None:
        self._scheduler.resume()


class AtOnce:
    def __init__(self, http: Http) -> None:
        self._http = http

    def draw(self, body: dict[str, Any], limit_s: float) -> Ticket | Picture | Failed:
        found = txt2img(self._http, body, limit_s)
        return found if isinstance(found, Failed) else found[0]

    def find(self, body: dict[str, Any], known: Collection[Ticket]) -> Ticket | None:
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
