"""What an image server is: it is brought a LoRA, draws pictures with it, and gives the LoRA up again.

Covers: the contract (`ImageServer`), the data that crosses it, its errors; `tests/sampling/test_server_contract.py`
runs against every server there is. Not: which picture is drawn where and when (`sampling`), what a prompt file may hold
(`config.prompts`). What only one kind of server knows (routes, tags, graphs, proofs) stays in that server's module.

An upload is believed only when the server shows the same file, a picture only when it shows that our LoRA was used: a
success that a server reports proves neither.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from ...config.prompts import Prompt
from ...errors import Problem


class ServerError(Exception):
    """One sentence with the server's address, and never with a password."""


class Unavailable(ServerError):
    """For now: refused, reset, timed out, overloaded. Whether the request was obeyed is not known; repeat the call."""


class Refused(ServerError):
    """Repeating changes nothing until a person does something: a wrong password, a missing extension."""


class LoraRefused(Refused):
    """The server works and does not take this file; another server may."""


class NameTaken(ServerError):
    """Another file has this name there, and is left alone: bring ours under a new name."""


Ticket = str
"""A server's own name for a request that it has queued; it stays valid when the sampler is started again."""


@dataclass(frozen=True)
class Lora:
    name: str
    """Unique on every server and for all time: on some servers the name alone decides which file is used."""
    file: Path


@dataclass(frozen=True)
class SampleRequest:
    """One picture."""

    prompt: Prompt
    """The words, and everything else that the prompt file says: width, steps, sampler ..."""
    seed: int
    lora: Lora | None = None
    """None: the baseline, drawn by the base model alone."""
    weight: float | None = None
    """The LoRA's; None: as the prompt itself says, else 1."""


@dataclass(frozen=True)
class Picture:
    png: bytes
    infotext: str
    """What the server says of how it was drawn, in its own form; may be empty."""
    width: int
    height: int
    others: tuple[bytes, ...] = ()
    """PNGs that came with it and were not asked for: a map, a copy before the highres fix."""


@dataclass(frozen=True)
class Failed:
    """There will be no picture of this request; others may succeed."""

    reason: str
    """Where the server does not have the LoRA and says so, with the LoRA's name: then it is brought again."""
    final: bool = False
    """Asking once more would fail in the same way."""
    out_of_memory: bool = False


@dataclass(frozen=True)
class Progress:
    finished: tuple[Ticket, ...]
    """Those that can be collected, or probably can, in the order in which they were given."""
    queued: int = 0
    """Requests that wait on this server, everybody's."""
    current: str | None = None
    """What is being drawn, in whatever words the server has for it; None: nothing."""
    paused: bool = False


@dataclass(frozen=True)
class BaseModel:
    """What draws where there is no LoRA."""

    name: str
    """Without folders and ending."""
    hash: str = ""
    """The first digits of it, or all; empty: not known."""

    def differs_from(self, other: BaseModel) -> bool:
        """By the hashes, where both are known."""
        if self.hash and other.hash:
            return not (self.hash.startswith(other.hash) or other.hash.startswith(self.hash))
        return bool(self.name and other.name) and self.name.lower() != other.name.lower()

    @staticmethod
    def read(text: str) -> BaseModel:
        """From `name [hash]` or a name."""
        name, bracket, digest = text.removesuffix("]").rpartition(" [")
        return BaseModel(name, digest) if bracket else BaseModel(text)

    def __str__(self) -> str:
        return f"{self.name} [{self.hash[:10]}]" if self.hash else self.name


State = Literal["done", "base model only", "wrong checkpoint"]


@dataclass(frozen=True)
class Verdict:
    """Whether a picture shows what was asked for."""

    state: State
    reason: str = ""
    """For a person; empty for "done"."""
    names_loras: bool = True
    """False: the server does not say which LoRAs it has used, so asking once more proves nothing either."""
    base: BaseModel | None = None
    """What the picture was drawn by, where the prompt leaves that to the server and the server tells it."""


class ImageServer(Protocol):
    """One server. Two threads call it at the same time: one brings and takes away LoRAs, the other has pictures drawn.

    Every call may raise `Unavailable` and may be repeated then, and every call may raise `Refused`."""

    @property
    def url(self) -> str:
        """Its address without credentials: what messages and the journal call it."""

    def problems(self) -> list[Problem]:
        """What is wrong with it, as far as asking shows, with an empty source and key; an error: it is of no use.
        Nothing on the server is changed. `Unavailable`: it does not answer."""

    @property
    def base_model(self) -> BaseModel | None:
        """What it draws with where a prompt names no model, as `problems` found it; None: it does not say."""

    # LoRAs

    def bring(self, lora: Lora) -> None:
        """The server has this very file under this name, and uses it for this name. `NameTaken`, `LoraRefused`."""

    def listed(self) -> list[str]:
        """The names of the LoRAs in our own folder there, also those that an earlier session has left."""

    def take_away(self, name: str) -> None:
        """The file is gone, and no longer offered by the server; fine where it was not there."""

    # pictures

    def draw(self, request: SampleRequest, limit_s: float) -> Ticket | Picture | Failed:
        """A queueing server answers with a ticket at once, another one with the picture, after `limit_s` at most. After
        `Unavailable` the request may have been queued: `find` it before asking again."""

    def find(self, request: SampleRequest, known: Collection[Ticket]) -> Ticket | None:
        """The ticket of a request whose answer was lost, none of `known`; None: it was never queued. The request has a
        LoRA, and by its name the server tells our requests from everybody's."""

    def progress(self, tickets: Sequence[Ticket]) -> Progress:
        """How the queue stands with our tickets, the oldest first, by one question whatever their number."""

    def collect(self, request: SampleRequest, ticket: Ticket) -> Picture | Failed | None:
        """What has become of a request that `draw` has queued; None: it still waits or is being drawn."""

    def withdraw(self, lora: str, tickets: Collection[Ticket]) -> None:
        """These requests will not be drawn any more; fine where they are over. An empty ticket stands for a request
        whose answer was lost: whatever waits for this LoRA is withdrawn."""

    def verify(self, request: SampleRequest, picture: Picture, base: BaseModel | None = None) -> Verdict:
        """The proof that the LoRA was used, and the right base model: the one that the prompt names, else `base`, which
        has drawn the sweep's other pictures (None: there are none yet)."""

    def parameters(self, request: SampleRequest) -> dict[str, object]:
        """What is sent for a request, with images named and not included, for the JSON file beside the picture; its
        `prompt` and `negative_prompt` are the words as they are sent."""

    # troubles

    def reconnected(self) -> None:
        """It answers again after an outage, and may have been started anew: make good what a restart forgets."""

    def wake(self) -> None:
        """Let a paused queue go on, and one that stands still although requests wait."""

    def unblock(self) -> None:
        """Try to free a queue that has been at one and the same request for very long."""
