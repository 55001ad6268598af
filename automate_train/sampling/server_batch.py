"""A batch on a server: what is left of it, and its LoRA's name there.

Covers: the hand-over between the carrier's thread and the drawer's (never both at once), going on with what an earlier
session has left. Not: talking to the server (`carrier`, `drawer`).
"""

from __future__ import annotations

import secrets
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from ..store.sample_journal import SampleJournal, SentRequest
from .context import Office
from .image_store import Batch, Wanted
from .schedule import lora_name


@dataclass
class Work:
    batch: Batch
    lora: str
    """The LoRA's name on the server; empty for baselines."""
    left: dict[str, Wanted]
    """Picture's path -> picture that is not made."""
    tasks: dict[str, SentRequest] = field(default_factory=dict)
    """Picture's path -> what was queued for it."""
    tries: Counter[str] = field(default_factory=Counter)
    hash12: str = ""
    """What proves the LoRA in an infotext."""
    scout: str = ""
    """The picture that is drawn again to see whether the LoRA is used at all; the others without it wait."""
    held: set[str] = field(default_factory=set)
    """Those that wait for the scout."""
    proved: bool = False
    """The LoRA was used at least once."""
    released: bool = False
    """The server does not answer, others may take the batch."""
    dropped: bool = False
    """Another server has taken it."""
    refused: str = ""
    """Why this server cannot have it."""

    @property
    def name(self) -> str | None:
        return self.lora or None

    @property
    def file(self) -> Path:
        assert self.batch.file is not None
        return self.batch.file


def begun(batch: Batch, office: Office, samples: SampleJournal, server: str) -> Work:
    """The work with a name that is journaled already; with that of an earlier session where there is one."""
    left = {str(each.png): each for each in batch.wanted if office.desk.is_open(each)}
    lora = ""
    if batch.checkpoint is not None:
        known = [name for name, of in samples.uploads(server).items() if of == batch.id]
        lora = known[0] if known else new_name(batch, office, samples, server)
    tasks = {each.picture: each for each in samples.requests(server, lora) if each.picture in left}
    return Work(batch, lora, left, tasks)


def new_name(batch: Batch, office: Office, samples: SampleJournal, server: str) -> str:
    assert batch.checkpoint is not None
    name = lora_name(office.sweep, batch.key, batch.attempt, batch.checkpoint, secrets.token_hex(2))
    samples.record_upload(server, name, batch.id)
    return name
