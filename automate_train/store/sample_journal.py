"""What the sampler remembers: seeds, the LoRAs that it has put on servers, the tasks that it has queued there.

Covers: the SQL of the tables `sample_*` of the sweep's journal (their schema is in `journal`), and what the sampler
reads of its other tables. It is a second writer of that database: every write here is one short transaction.
Not: pictures. Their `.json` on the disk says that they are made; a row here only says what is left on a server.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .journal import Journal


@dataclass(frozen=True)
class Made:
    """An attempt of a run, as far as the sampler cares."""

    id: int
    key: str
    index: int
    options: Mapping[str, Any]
    folder: str
    """`<run>/attempt-<n>`, from the sweep's folder."""
    number: int
    ended: bool


@dataclass(frozen=True)
class Asked:
    """A picture that was queued, or was about to be."""

    picture: str
    lora: str
    """The LoRA's name on the server; empty for a baseline."""
    task: str
    """The scheduler's id; empty: whether the server has the task is not known."""
    prompt: str
    seed: int


class Samples:
    """One thread's view; each thread has a `Journal` of its own."""

    def __init__(self, path: Path) -> None:
        self.journal = Journal(path)
        self.db = self.journal.db
        self.db.execute("pragma busy_timeout = 30000")  # the sweep and our other threads write, too

    def close(self) -> None:
        self.journal.close()

    def sweep_id(self) -> str:
        """8 hex, drawn once: what names on servers begin with. The folder's path would not do, for two machines may
        have sweeps under the same path."""
        with self.journal.together():
            kept = self.db.execute("select value from note where name = 'sweep_id'").fetchone()
            if kept is None:
                self.journal.note(sweep_id=secrets.token_hex(4))
        row = self.db.execute("select value from note where name = 'sweep_id'").fetchone()
        return str(json.loads(row[0]))

    def first_prompts(self, key: str, digest: str) -> str:
        """The digest of a run's own prompt file when it was seen first: an edited file makes other pictures."""
        name = f"sample_prompts {key}"
        with self.journal.together():
            self.db.execute("insert or ignore into note values (?, ?)", (name, json.dumps(digest)))
        return str(json.loads(self.db.execute("select value from note where name = ?", (name,)).fetchone()[0]))

    def seed(self, prompt: str) -> int:
        """The seed of a prompt without one: drawn once for the whole sweep, so that its pictures are comparable."""
        with self.journal.together():
            self.db.execute("insert or ignore into sample_seed values (?, ?)", (prompt, secrets.randbelow(1 << 31)))
        return int(self.db.execute("select seed from sample_seed where prompt = ?", (prompt,)).fetchone()[0])

    def attempts(self) -> Iterator[Made]:
        """In the order of the sweep, a run's newest attempt first."""
        query = """
            select a.id, a.key, r.position, r.options, a.folder, a.number, a.kind from attempt a
            join run r on r.key = a.key order by r.position, r.key, a.number desc
        """
        for row in self.db.execute(query).fetchall():
            options = json.loads(row["options"])
            ended = row["kind"] is not None
            yield Made(row["id"], row["key"], row["position"], options, row["folder"], row["number"], ended)

    def checkpoints(self, attempt: int) -> list[tuple[str, int | None, int | None, float]]:
        """(path, epoch, step, seconds since 1970), oldest first."""
        query = "select path, epoch, step, at from checkpoint where attempt = ? order by at"
        return [tuple(row) for row in self.db.execute(query, (attempt,))]

    # what is on a server

    def bring(self, server: str, name: str, batch: str) -> None:
        """Told before the upload, so that no crash leaves a file behind that nobody knows."""
        with self.journal.together():
            self.db.execute("insert or ignore into sample_lora values (?, ?, ?, ?)", (server, name, batch, time.time()))

    def brought(self, server: str) -> dict[str, str]:
        """{name: batch}"""
        rows = self.db.execute("select name, batch from sample_lora where server = ? order by at", (server,))
        return {row[0]: row[1] for row in rows}

    def taken_away(self, server: str, name: str) -> None:
        with self.journal.together():
            self.db.execute("delete from sample_lora where server = ? and name = ?", (server, name))

    def ask(self, server: str, asked: Asked) -> None:
        """Told before the request, with an empty task, and again with the answer."""
        values = (server, asked.picture, asked.lora, asked.task, asked.prompt, asked.seed)
        with self.journal.together():
            self.db.execute("insert or replace into sample_task values (?, ?, ?, ?, ?, ?)", values)

    def asked(self, server: str, lora: str | None = None) -> list[Asked]:
        """Of one LoRA ("": the baselines), or all."""
        query = "select picture, lora, task, prompt, seed from sample_task where server = ?"
        rows = self.db.execute(query, (server,)).fetchall()
        return [Asked(*row) for row in rows if lora is None or row["lora"] == lora]

    def answered(self, server: str, picture: str) -> None:
        with self.journal.together():
            self.db.execute("delete from sample_task where server = ? and picture = ?", (server, picture))

    def servers(self) -> set[str]:
        """Where something of ours may still be."""
        query = "select server from sample_lora union select server from sample_task"
        return {row[0] for row in self.db.execute(query)}
