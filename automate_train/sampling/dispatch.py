"""Which server gets which batch: the least busy one. The batches of a server that is gone are given to the others.

Covers: giving out, taking back after an outage, servers that refuse a checkpoint, when to give up. Every decision is
one pass over what is known at the moment. Not: doing any of it (`server_worker` and its threads).
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from ..store.sample_journal import SampleJournal
from .batch import Batch
from .context import SamplingContext
from .image_store import Result
from .server_batch import ServerBatch
from .server_worker import ServerWorker

FIRST_ANSWERS = 3.0
"""Seconds in which servers may answer for the first time before the first of them gets everything."""


REMOVE_SECONDS = 10.0
"""How long a server may not answer, when all pictures are drawn, before its LoRAs are left to the next session."""


class Dispatch:
    def __init__(self, context: SamplingContext, journal: SampleJournal) -> None:
        self.context, self.journal = context, journal
        self.servers: list[ServerWorker] = []
        self.waiting: list[Batch] = []
        self._begun_on: dict[str, str] = {}
        """Batch -> the server where an earlier session has begun it."""
        self._refused: dict[tuple[str, str], str] = {}
        """(server, batch) -> why."""
        self._last_added = 0.0

    def add(self, server: ServerWorker) -> None:
        self.servers.append(server)
        server.remove_leftovers(self.journal, list(self.unfinished()))
        self._begun_on |= dict.fromkeys(self.journal.uploads(server.url).values(), server.url)
        server.start()
        self._last_added = time.monotonic()

    def step(self) -> None:
        for server in self.servers:
            for ended in server.ended():
                self._end(server, ended)
            self._take_back(server)
        self.context.batches_wait = bool(self.waiting)
        first_answers = time.monotonic() - self._last_added < FIRST_ANSWERS and any(s.is_new for s in self.servers)
        for batch in list(self.waiting):
            if not first_answers and self._give(batch):
                self.waiting.remove(batch)
        if self.servers and all(server.is_lost() for server in self.servers):
            for batch in self.unfinished():
                if batch.final is not None and not batch.final.exists():
                    self.context.store.let_training_go_on(batch, "no server answers\n")

    def _end(self, server: ServerWorker, ended: ServerBatch) -> None:
        self._withdraw(ended)
        if ended.refused:
            self._refused[server.url, ended.batch.id] = ended.refused
            self.context.say(ended.refused)
            self.waiting.insert(0, ended.batch)
        else:
            self.context.store.close(ended.batch)

    def _withdraw(self, batch: ServerBatch) -> None:
        """It does not wait for a server any more, if it did."""
        self.waiting = [each for each in self.waiting if each.id != batch.batch.id]

    def _take_back(self, server: ServerWorker) -> None:
        """Batches of a server that is gone wait again; it goes on with them if it is back first."""
        others_are_idle = not self.waiting and any(other.has_room for other in self.servers if other is not server)
        is_gone = server.health.given_up or (
            server.health.trouble_for > self.context.limits.trouble and others_are_idle
        )
        for batch in server.batches:
            if not batch.left or batch.refused or batch.dropped:
                continue
            if not batch.released:
                if is_gone:
                    batch.released = True
                    self.waiting.insert(0, batch.batch)
                    self.context.say(f"{server.url}: its samples go to the other servers")
            elif not any(each.id == batch.batch.id for each in self.waiting):
                server.drop(batch)
            elif server.health.is_fine:
                batch.released = False
                self._withdraw(batch)

    def _give(self, batch: Batch) -> bool:
        """True when it waits no longer."""
        able = [s for s in self.servers if not s.health.given_up and (s.url, batch.id) not in self._refused]
        reasons = [why for (_, id_), why in self._refused.items() if id_ == batch.id]
        if not able and reasons:
            for sample in batch.samples:
                self.context.store.put(batch, sample, Result("failed", reasons[0]))
            self.context.store.close(batch)
            return True
        trouble = self.context.limits.trouble
        first = [s for s in able if s.url == self._begun_on.get(batch.id) and s.health.trouble_for <= trouble]
        fine = [s for s in first or able if s.answers and not any(each.batch.id == batch.id for each in s.batches)]
        seconds = {s.url: s.generator.seconds for s in fine}
        known = [each for each in seconds.values() if each]
        usual = sum(known) / len(known) if known else 1.0
        best = min(fine, key=lambda s: s.load * (seconds[s.url] or usual), default=None)
        if best is None or not best.has_room:  # soon it has: better than a long queue elsewhere
            return False
        best.give(batch, self.journal)
        return True

    def unfinished(self) -> Iterator[Batch]:
        yield from self.waiting
        for server in self.servers:
            yield from (b.batch for b in server.batches if b.left and not b.released and not b.dropped)

    def is_hopeless(self, since: float) -> bool:
        """No server does anything for us, and none has for the longest that we wait; counted from `since` at least."""
        now, limits = time.monotonic(), self.context.limits
        return all(
            server.health.given_up
            or min(server.health.silent_for(now), now - since) > limits.outage
            or min(server.health.idle_for(now), now - since) > limits.wait
            for server in self.servers
        )

    @property
    def is_over(self) -> bool:
        """Everything is drawn and removed; what a server has that is gone is left to the next session."""
        return not self.waiting and all(not s.has_ended and self._is_left_alone(s) for s in self.servers)

    def _is_left_alone(self, server: ServerWorker) -> bool:
        if server.health.given_up or not server.batches:
            return True
        return (server.is_lost() or server.health.trouble_for > REMOVE_SECONDS) and not server.drawing
