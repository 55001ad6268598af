"""A batch on a server: what is left of it, and its LoRA's name there.

Covers: where it stands on its way through a server's two threads, going on with what an earlier session has left. Not:
talking to the server (`uploader`, `generator`).
"""

from __future__ import annotations

import secrets
from collections import Counter
from dataclasses import dataclass, field

from ..store.sample_journal import SampleJournal
from .batch import Batch, PlannedSample
from .context import SamplingContext
from .schedule import lora_name
from .servers.protocol import Lora, Ticket


@dataclass
class ServerBatch:
    """Changed only by the thread that has it: from the uploader's queue it goes to the generator's, back there where
    the LoRA must be brought once more, and to the uploader again to be removed. The session sets `released` and
    `dropped`."""

    batch: Batch
    lora: Lora | None
    """None: baselines."""
    left: dict[str, PlannedSample]
    """Picture's path -> sample that is not made."""
    tickets: dict[str, Ticket] = field(default_factory=dict)
    """Picture's path -> the server's name for the request; empty: the server has not answered, and may have it."""
    tries: Counter[str] = field(default_factory=Counter)
    out_of_memory: Counter[str] = field(default_factory=Counter)
    """Picture's path -> how often the server had too little memory for it."""
    not_before: dict[str, float] = field(default_factory=dict)
    """Picture's path -> monotonic seconds until which it is not asked for again."""
    probe: str = ""
    """The picture that is drawn once more to see whether the LoRA is used at all; others without it are held back."""
    held_back: set[str] = field(default_factory=set)
    proved: bool = False
    """The LoRA was used at least once."""
    released: bool = False
    """The server does not answer, others may take the batch."""
    dropped: bool = False
    """Another server has taken it."""
    refused: str = ""
    """Why this server cannot have it."""
    removed: bool = False
    """Nothing of it is left on the server."""

    @property
    def name(self) -> str:
        """The LoRA's name on the server; "" for baselines, as in the journal."""
        return self.lora.name if self.lora else ""


def begin(batch: Batch, context: SamplingContext, journal: SampleJournal, server: str) -> ServerBatch:
    """With a LoRA's name that is in the journal already; with that of an earlier session where there is one."""
    left = {str(each.png): each for each in batch.samples if context.store.is_missing(each)}
    lora = None
    if batch.checkpoint is not None and batch.file is not None:
        known = [name for name, of in journal.uploads(server).items() if of == batch.id]
        lora = Lora(known[0], batch.file) if known else new_lora(batch, context, journal, server)
    rows = journal.requests(server, lora.name if lora else "")
    return ServerBatch(batch, lora, left, {row.picture: row.ticket for row in rows if row.picture in left})


def new_lora(batch: Batch, context: SamplingContext, journal: SampleJournal, server: str) -> Lora:
    assert batch.checkpoint is not None and batch.file is not None
    name = lora_name(context.sweep, batch.run_key, batch.attempt, batch.checkpoint, secrets.token_hex(2))
    journal.record_upload(server, name, batch.id)
    return Lora(name, batch.file)
