"""One image server at work: its two threads, the batches that it has, how busy it is.

Covers: what the dispatcher may ask of a server. Not: which batch it gets (`dispatch`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..store.sample_journal import SampleJournal
from .batch import Batch
from .context import SamplingContext
from .generator import Generator
from .handover import Bring, Finish, Remove, RemoveLeftovers, ServerQueues
from .health import ServerHealth
from .server_batch import ServerBatch, begin
from .servers.protocol import ImageServer
from .uploader import Uploader

AT_ONCE = 2
"""Batches on a server: one is drawn, the next is brought and queued, so that the queue never runs dry."""


class ServerWorker:
    def __init__(self, server: ImageServer, context: SamplingContext) -> None:
        self.url, self.context = server.url, context
        self.health = ServerHealth(server.url, context)
        self._given: list[ServerBatch] = []
        self._queues = ServerQueues()
        self.uploader = Uploader(server, context, self.health, self._queues)
        self.generator = Generator(server, context, self.health, self._queues)

    def start(self) -> None:
        self.uploader.start()
        self.generator.start()

    def give(self, batch: Batch, journal: SampleJournal) -> None:
        given = begin(batch, self.context, journal, self.url)
        self._given.append(given)
        if given.lora:
            self._queues.jobs.put(Bring(given))
        else:
            self._queues.to_draw.put(given)

    def remove_leftovers(self, journal: SampleJournal, batches: Sequence[Batch]) -> None:
        """Before anything is given: take away what an earlier session has left, but not of these batches."""
        ids, pictures = {batch.id for batch in batches}, {str(s.png) for batch in batches for s in batch.samples}
        uploads = journal.uploads(self.url)
        loras = [name for name, batch in uploads.items() if batch not in ids]
        kept = uploads.keys() - set(loras)
        sent = [each for each in journal.requests(self.url) if each.lora not in kept and each.picture not in pictures]
        for lora in loras:
            self._queues.jobs.put(RemoveLeftovers(lora, tuple(each for each in sent if each.lora == lora)))
        self._queues.jobs.put(RemoveLeftovers("", tuple(each for each in sent if each.lora not in loras)))

    def drop(self, batch: ServerBatch) -> None:
        """Another server has the batch: remove what is ours, when this server answers."""
        batch.dropped = True
        self.generator.look_again()

    def remove_all(self) -> None:
        """The session is stopped: nothing is drawn any more."""
        for batch in self.batches:
            self._queues.jobs.put(Remove(batch))

    def finish(self) -> None:
        """When everything else is done, the threads end."""
        self.generator.finish()
        self._queues.jobs.put(Finish())

    @property
    def batches(self) -> list[ServerBatch]:
        """Those of which something is left, to draw or to remove."""
        self._given = [batch for batch in self._given if not batch.removed]
        return list(self._given)

    def ended(self) -> Iterator[ServerBatch]:
        """Batches that were completed or refused since the last call."""
        while not self._queues.ended.empty():
            yield self._queues.ended.get()

    @property
    def has_ended(self) -> bool:
        return not self._queues.ended.empty()

    @property
    def drawing(self) -> list[ServerBatch]:
        return [batch for batch in self.batches if batch.left and not batch.dropped and not batch.refused]

    @property
    def is_new(self) -> bool:
        """It may answer at any moment."""
        return not self.generator.is_ready and self.health.is_fine

    @property
    def answers(self) -> bool:
        return self.generator.is_ready and self.health.is_fine

    @property
    def has_room(self) -> bool:
        return self.answers and len(self.drawing) < AT_ONCE

    @property
    def load(self) -> float:
        """Pictures that wait here, ours and others'."""
        drawing = self.drawing
        ours, requested = sum(len(batch.left) for batch in drawing), sum(len(batch.tickets) for batch in drawing)
        return ours + max(0, self.generator.queued - requested)

    def is_lost(self) -> bool:
        """Whether it has not answered, or has done nothing for us, for longer than we wait."""
        return bool(self.health.given_up) or self.health.trouble_for > self.context.limits.outage
