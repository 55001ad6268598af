"""The thread of a server that brings checkpoints there and takes them away, while the other one has pictures drawn.

Covers: upload and proof, a new name where ours is taken, requests and files of ours removed, also an earlier session's.
Not: drawing (`generator`), which batch goes where (`dispatch`).
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from ..store.sample_journal import SampleJournal, SentRequest
from .context import SamplingContext
from .handover import Bring, Finish, Job, Remove, RemoveLeftovers, ServerQueues
from .health import ServerHealth
from .server_batch import ServerBatch, new_lora
from .servers.protocol import ImageServer, LoraRefused, NameTaken, Refused, Unavailable


class Uploader:
    """Does the jobs of its queue in their order, each again and again until the server has answered."""

    def __init__(
        self, server: ImageServer, context: SamplingContext, health: ServerHealth, queues: ServerQueues
    ) -> None:
        self.server, self.context, self.health, self.queues = server, context, health, queues

    def start(self) -> None:
        self.thread = self.context.start_thread(f"uploader {self.server.url}", self._run)

    def _run(self) -> None:
        self.journal = SampleJournal(self.context.journal)  # a connection belongs to one thread
        while True:
            job = self.queues.jobs.get()
            self._do(job)
            if isinstance(job, Bring):
                self._hand_over(job.batch)
            self.context.changed.set()
            if isinstance(job, Finish):
                break
        self.journal.close()

    def _hand_over(self, batch: ServerBatch) -> None:
        if not batch.refused and not batch.dropped:
            self.queues.to_draw.put(batch)
            return
        if not batch.dropped:
            self.queues.ended.put(batch)
        self.queues.jobs.put(Remove(batch))

    def _do(self, job: Job) -> None:
        while not self.health.given_up and not self._is_pointless(job):
            try:
                self._try(job)
                self.health.works("files")
                return
            except Unavailable as error:
                if self.context.stopping.wait(self.health.failed("files", str(error))):
                    time.sleep(0.2)
            except Refused as error:
                self.health.give_up(str(error))

    def _is_pointless(self, job: Job) -> bool:
        return isinstance(job, Bring) and (job.batch.dropped or self.context.stopping.is_set())

    def _try(self, job: Job) -> None:
        match job:
            case Bring(batch):
                self._bring(batch)
            case Remove(batch):
                of_batch = {str(sample.png) for sample in batch.batch.samples}
                sent = self.journal.requests(self.server.url, batch.name)
                self._remove(batch.name, [each for each in sent if batch.lora or each.picture in of_batch])
                batch.removed = True
            case RemoveLeftovers(lora, left):
                self._remove(lora, left)
            case Finish():
                for name in self.server.listed():
                    self.server.take_away(name)

    def _bring(self, batch: ServerBatch) -> None:
        batch.refused = ""
        while batch.lora is not None:
            try:
                self.server.bring(batch.lora)
                return
            except NameTaken as error:
                self.context.say(str(error))
                self.journal.forget_upload(self.server.url, batch.name)
                batch.lora = new_lora(batch.batch, self.context, self.journal, self.server.url)
                batch.tickets.clear()
            except LoraRefused as error:
                batch.refused = str(error)
                return

    def _remove(self, lora: str, sent: Sequence[SentRequest]) -> None:
        """First the requests: they would be drawn without the LoRA."""
        if sent:
            self.server.withdraw(lora, [each.ticket for each in sent])
        for each in sent:
            self.journal.forget_request(self.server.url, each.picture)
        if lora:
            self.server.take_away(lora)
            self.journal.forget_upload(self.server.url, lora)
