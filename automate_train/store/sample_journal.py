"""What the sampler remembers: seeds, the LoRAs that it has put on servers, the requests that it has queued there.

Covers: the SQL of the tables `sample_*` of the sweep's journal. The sampler is a second writer of that database: every
write here is one short transaction.
Not: pictures. The `.json` beside each says that it is made, with which seed and from which prompt file, and `rebuild`
reads seeds back from there; a row here says what is left on a server.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from .files import is_count, read_json, write
from .journal import Journal
from .layout import SweepFolder

BASE_MODEL = "sample_base_model"
"""The note of the journal that names it."""


class SentRequest(NamedTuple):
    """A picture that was requested from a server, or was about to be."""

    picture: str
    lora: str
    """The LoRA's name on the server; empty for a baseline."""
    ticket: str
    """The server's own name for it; empty: whether the server has it is not known."""


class SampleJournal:
    """One thread's view; each thread has a `Journal` of its own."""

    def __init__(self, path: Path) -> None:
        self.journal = Journal(path)
        self.db = self.journal.db
        self._folder = os.path.abspath(path.parent)
        self.db.execute("pragma busy_timeout = 30000")  # the sweep and our other threads write, too

    def close(self) -> None:
        self.journal.close()

    # seeds and prompt files

    def seed(self, prompt: str) -> int:
        """The seed of a prompt without one: drawn once for the whole sweep, so that its pictures are comparable."""
        with self.journal.transaction():
            drawn = int.from_bytes(os.urandom(4), "big") >> 1  # from 0 to 2^31 - 1
            self.db.execute("insert or ignore into sample_seed values (?, ?)", (prompt, drawn))
        return int(self.db.execute("select seed from sample_seed where prompt = ?", (prompt,)).fetchone()[0])

    def first_prompts(self, key: str, digest: str) -> str:
        """The digest of a run's own prompt file when it was seen first: an edited file makes other pictures."""
        name = _note_of(key)
        with self.journal.transaction():
            known = self.journal.notes().get(name)
            if not isinstance(known, str):
                self.journal.note(**{name: digest})
                return digest
        return known

    def first_base_model(self, found: str = "") -> str:
        """What has drawn the sweep's first picture; `found`, where it is the first. Empty: there is none yet."""
        with self.journal.transaction():
            known = self.journal.notes().get(BASE_MODEL)
            if not isinstance(known, str) and found:
                self.journal.note(**{BASE_MODEL: found})
        return known if isinstance(known, str) else found

    # LoRAs on servers

    def record_upload(self, server: str, name: str, batch: str) -> None:
        """Before the upload, so that no crash leaves a file behind that nobody knows."""
        values = (server, name, batch, time.time())
        with self.journal.transaction():
            self.db.execute("insert or ignore into sample_lora values (?, ?, ?, ?)", values)

    def uploads(self, server: str) -> dict[str, str]:
        """{name: batch}, oldest first."""
        rows = self.db.execute("select name, batch from sample_lora where server = ? order by at", (server,))
        return {row[0]: row[1] for row in rows}

    def forget_upload(self, server: str, name: str) -> None:
        with self.journal.transaction():
            self.db.execute("delete from sample_lora where server = ? and name = ?", (server, name))

    # requests

    def record_request(self, server: str, sent: SentRequest) -> None:
        """Before the request, with an empty ticket, and again with the answer."""
        values = (server, self._inside(sent.picture), sent.lora, sent.ticket)
        with self.journal.transaction():
            self.db.execute("insert or replace into sample_request values (?, ?, ?, ?)", values)

    def requests(self, server: str, lora: str | None = None) -> list[SentRequest]:
        """Of one LoRA ("": the baselines), or all."""
        query = "select picture, lora, ticket from sample_request where server = ?"
        rows = self.db.execute(query, (server,))
        sent = [SentRequest(os.path.join(self._folder, picture), *others) for picture, *others in rows]
        return [each for each in sent if lora is None or each.lora == lora]

    def forget_request(self, server: str, picture: str) -> None:
        with self.journal.transaction():
            self.db.execute(
                "delete from sample_request where server = ? and picture = ?", (server, self._inside(picture))
            )

    def _inside(self, picture: str) -> str:
        """Its path in the sweep's folder, which may be moved."""
        return picture.removeprefix(f"{self._folder}{os.sep}")

    def servers(self) -> set[str]:
        """Where something of ours may still be."""
        query = "select server from sample_lora union select server from sample_request"
        return {row[0] for row in self.db.execute(query)}


def note_counts(folder: SweepFolder, journal: Journal, counts: Mapping[str, Any]) -> None:
    """For `status`: how many pictures are made and how many are left, which servers give trouble."""
    write(folder.sample_counts, json.dumps(counts, ensure_ascii=False, indent=1) + "\n")
    journal.note(samples=counts)


def restore_samples(folder: SweepFolder, journal: Journal) -> None:
    """What a new journal can know of samples from the pictures that lie in the sweep's folder."""
    if counts := read_json(folder.sample_counts):
        journal.note(samples=counts)
    for record in journal.records():
        for attempt in record.attempts:
            _restore_pictures(journal, folder.attempt(attempt.folder).samples, record.key)
    _restore_pictures(journal, folder.baselines, "")


def _restore_pictures(journal: Journal, pictures: Path, run_key: str) -> None:
    for file in sorted(pictures.glob("*.json")):
        about = read_json(file) or {}
        key, digest, seed = (about.get(name) for name in ("prompt_key", "prompt_digest", "seed"))
        if isinstance(key, str) and key and is_count(seed):
            journal.db.execute("insert or ignore into sample_seed values (?, ?)", (key, seed))
        if isinstance(base := about.get("base_model"), str) and base and about.get("state") == "done":
            journal.db.execute("insert or ignore into note values (?, ?)", (BASE_MODEL, json.dumps(base)))
        # A name that ends with a digest's start is of another prompt file than the run's own.
        if run_key and isinstance(digest, str) and not file.stem.endswith(f"_p{digest[:4]}"):
            journal.db.execute("insert or ignore into note values (?, ?)", (_note_of(run_key), json.dumps(digest)))


def _note_of(run_key: str) -> str:
    return f"sample_prompts {run_key}"
