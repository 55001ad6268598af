"""Which server gets which batch: the least busy one; a dead one's share goes to the others.

Covers: giving out, taking back after an outage, servers that refuse a checkpoint, when to give up. Every decision is
one pass over facts. Not: doing any of it (`server` and its threads).
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from ..store.sample_journal import SampleJournal
from .context import Office
from .image_store import Batch
from .server import Server
from .server_batch import Work

MEETING = 3.0
"""Seconds in which servers may show themselves before the first of them gets everything."""


class Dispatch:
    def __init__(self, office: Office, samples: SampleJournal) -> None:
        self.office, self.samples = office, samples
        self.servers: list[Server] = []
        self.waiting: list[Batch] = []
        self.begun_on: dict[str, str] = {}
        """Batch -> the server where an earlier session has begun it."""
        self._refused: dict[tuple[str, str], str] = {}
        self._met = 0.0

    def add(self, server: Server) -> None:
        self.servers.append(server)
        server.clear_leftovers(self.samples, list(self.unfinished()))
        self.begun_on |= dict.fromkeys(self.samples.uploads(server.url).values(), server.url)
        server.start()
        self._met = time.monotonic()

    def step(self) -> None:
        for server in self.servers:
            while server.ended:
                self._ended(server, server.ended.popleft())
            self._take_back(server)
        self.office.hungry = bool(self.waiting)
        coming = time.monotonic() - self._met < MEETING and any(server.is_new for server in self.servers)
        for batch in list(self.waiting):
            if not coming and self._give(batch):
                self.waiting.remove(batch)
        if self.servers and all(server.lost(self.office.limits.outage) for server in self.servers):
            for batch in self.unfinished():
                if batch.final is not None and not batch.final.exists():
                    batch.go_on("no server answers\n")  # a training that waits need not wait longer

    def _ended(self, server: Server, work: Work) -> None:
        self.waiting = [batch for batch in self.waiting if batch.id != work.batch.id]
        if work.refused:
            self._refused[server.url, work.batch.id] = work.refused
            self.office.say(work.refused)
            self.waiting.insert(0, work.batch)
        else:
            work.batch.close()

    def _take_back(self, server: Server) -> None:
        """Batches of a server that is gone wait again; it goes on with them if it is back first."""
        alone = not any(other is not server and other.has_room for other in self.servers)
        limits = self.office.limits
        lost = bool(server.health.dead) or (not alone and server.lost(limits.outage))
        for work in [work for work in server.works if work.left]:
            waits = any(batch.id == work.batch.id for batch in self.waiting)
            if work.refused:
                continue
            if lost and not work.released and not work.dropped:
                work.released = True
                self.waiting.insert(0, work.batch)
                self.office.say(f"{server.url}: its share goes to the others")
            elif work.released and not work.dropped and not waits:
                server.drop(work)
            elif work.released and not work.dropped and server.health.fine:
                work.released = False
                self.waiting = [batch for batch in self.waiting if batch.id != work.batch.id]

    def _give(self, batch: Batch) -> bool:
        """True when it waits no longer."""
        able = [s for s in self.servers if not s.health.dead and (s.url, batch.id) not in self._refused]
        reasons = [why for (_, name), why in self._refused.items() if name == batch.id]
        if not able and reasons:
            for wanted in batch.wanted:
                self.office.desk.put(batch, wanted, "", None, "failed", reasons[0])
            batch.close()
            return True
        first = [s for s in able if s.url == self.begun_on.get(batch.id) and not s.lost(self.office.limits.outage)]
        fine = [s for s in first or able if s.answers and not any(w.batch.id == batch.id for w in s.works)]
        speed = {s.url: s.drawer.seconds for s in fine}
        known = [each for each in speed.values() if each]
        usual = sum(known) / len(known) if known else 1.0
        best = min(fine, key=lambda s: s.load * (speed[s.url] or usual), default=None)
        if best is None or not best.has_room:  # soon it has: better than a long queue elsewhere
            return False
        best.give(batch, self.samples)
        return True

    def unfinished(self) -> Iterable[Batch]:
        yield from self.waiting
        for server in self.servers:
            yield from (work.batch for work in server.works if work.left and not work.released and not work.dropped)

    def hopeless(self, since: float) -> bool:
        """No server does anything for us, and none has for the longest that we wait; counted from `since` at least."""
        now, limits = time.monotonic(), self.office.limits
        return all(
            server.health.dead
            or min(server.health.silent(now), now - since) > limits.outage
            or min(server.health.idle(now), now - since) > limits.wait
            for server in self.servers
        )

    @property
    def over(self) -> bool:
        """Everything is drawn and taken away; what a dead server has is left to the next session."""
        ended = any(server.ended for server in self.servers)
        return not self.waiting and not ended and all(self._left_alone(server) for server in self.servers)

    def _left_alone(self, server: Server) -> bool:
        drawing = any(work.left and not work.dropped for work in server.works)
        gone = server.lost(self.office.limits.outage) and not drawing
        return bool(server.health.dead) or not server.works or gone
