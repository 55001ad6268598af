"""How batches are handed over between the threads of a server.

Covers: the uploader's jobs, and the three queues. A batch goes from `jobs` (its LoRA is brought) to `to_draw`, and back
to `jobs` to be removed, or before that to be brought once more; `ended` tells the dispatcher. Not: what the threads do
with it (`uploader`, `generator`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from queue import Queue

from ..store.sample_journal import SentRequest
from .server_batch import ServerBatch


@dataclass(frozen=True)
class Bring:
    """The LoRA of a batch is brought; then the batch is the generator's, or has been refused."""

    batch: ServerBatch


@dataclass(frozen=True)
class Remove:
    """Nothing of a batch is left on the server."""

    batch: ServerBatch


@dataclass(frozen=True)
class RemoveLeftovers:
    """Requests of an earlier session are withdrawn, and its LoRA, if one is named, is taken away."""

    lora: str
    sent: tuple[SentRequest, ...]


@dataclass(frozen=True)
class Finish:
    """Nothing is left in our folder, and the uploader's thread ends."""


Job = Bring | Remove | RemoveLeftovers | Finish


@dataclass(frozen=True)
class ServerQueues:
    jobs: Queue[Job] = field(default_factory=Queue)
    """For the uploader."""
    to_draw: Queue[ServerBatch | None] = field(default_factory=Queue)
    """For the generator: batches whose LoRA is on the server; None: look again, something else has changed."""
    ended: Queue[ServerBatch] = field(default_factory=Queue)
    """For the dispatcher: batches whose pictures are all made, or that the server has refused."""
