"""The thread of a server that has pictures drawn: asks for them, fetches them, has them accepted.

Covers: all requests of a checkpoint made before waiting for the first, lost answers, how often to ask. Not: bringing
the LoRA (`uploader`), queues that stand still (`queue_watch`), what becomes of a picture (`keep_or_retry`), which
server gets what (`dispatch`).
"""

from __future__ import annotations

import queue
import random
import threading
import time

from ..store.sample_journal import SampleJournal, SentRequest
from .context import SamplingContext
from .handover import Bring, Remove, ServerQueues
from .health import ServerHealth
from .keep_or_retry import KeepOrRetry
from .queue_watch import QueueWatch
from .server_batch import ServerBatch
from .servers.protocol import Failed, ImageServer, Picture, Refused, Unavailable


class Generator:
    """Each batch that it takes from `to_draw` is in the end removed by the uploader, when its pictures are made or
    another server has it; or is brought once more, where the server has not used the LoRA."""

    def __init__(
        self, server: ImageServer, context: SamplingContext, health: ServerHealth, queues: ServerQueues
    ) -> None:
        self.server, self.context, self.health, self.queues = server, context, health, queues
        self._batches: list[ServerBatch] = []
        self._next_poll, self._pause, self._shortest_pause = 0.0, context.limits.poll, context.limits.poll
        self._last_picture = time.monotonic()
        self.queued = 0
        """Requests that wait on the server, everybody's."""
        self.seconds = 0.0
        """What a picture takes, as far as it is known."""
        self.is_ready = False
        """The server has answered and can be used."""
        self._finishing = threading.Event()

    def start(self) -> None:
        self.thread = self.context.start_thread(f"generator {self.server.url}", self._run)

    def look_again(self) -> None:
        """Something has changed that is not a new batch."""
        self.queues.to_draw.put(None)

    def finish(self) -> None:
        self._finishing.set()
        self.look_again()

    def _goes_on(self) -> bool:
        return not (self._finishing.is_set() or self.health.given_up or self.context.stopping.is_set())

    def _run(self) -> None:
        self.journal = SampleJournal(self.context.journal)  # a connection belongs to one thread
        self.keep_or_retry = KeepOrRetry(self.server, self.context, self.journal)
        self.queue_watch = QueueWatch(self.server, self.context, self.health)
        connected = lost = False
        while self._goes_on():
            try:
                if not connected:
                    self._connect()
                elif lost:
                    self.server.reconnected()
                connected, lost = True, False
                pause = self._round()
                self.health.works("queue")
            except Unavailable as error:
                lost = connected
                pause = self.health.failed("queue" if connected else "connection", str(error))
            except Refused as error:
                self.health.give_up(str(error))
                break
            self._wait(pause)
        self.journal.close()

    def _connect(self) -> None:
        for problem in self.server.problems():
            if problem.severity == "error":
                raise Refused(str(problem))
        self.queued = self.server.progress(()).queued
        self._next_poll = time.monotonic() + 2 * self.context.limits.poll  # `problems` has asked, too
        self.health.works("connection")
        ours, theirs = self.context.base_model, self.server.base_model
        if ours and theirs and theirs.differs_from(ours):
            self.context.say(f"{self.server.url} has base model '{theirs}', and the sweep's pictures are by '{ours}'")
        self.is_ready = True
        self.context.changed.set()

    def _wait(self, seconds: float | None) -> None:
        """For a new batch or a call to look again, `seconds` at most."""
        try:
            found = self.queues.to_draw.get(timeout=seconds)
            while True:
                if found is not None:
                    self._batches.append(found)
                found = self.queues.to_draw.get_nowait()
        except queue.Empty:
            return

    def _round(self) -> float | None:
        """One pass over all batches; the seconds until the next, None: until something comes."""
        for batch in list(self._batches):
            if not batch.dropped:
                self._request_all(batch)
            self._leave_if_over(batch)
        tickets = {ticket: (batch, path) for batch in self._batches for path, ticket in batch.tickets.items() if ticket}
        now = time.monotonic()
        if not tickets:
            if left := [
                (batch, path) for batch in self._batches for path in batch.left
            ]:  # they are asked for once more
                return max(0.01, min(batch.not_before.get(path, 0.0) for batch, path in left) - now)
            if not self.context.batches_wait:
                return None
            if now >= self._next_poll:
                self.queued = self.server.progress(()).queued
                self._next_poll = time.monotonic() + self.context.limits.poll
            return self.context.limits.slowest
        if now >= self._next_poll:
            changed = self._poll(tickets)
            slowest = min(self.context.limits.slowest, max(self.context.limits.wake / 2, self.seconds / 3))
            self._pause = max(self._shortest_pause, 0.0 if changed else min(self._pause * 1.4, slowest))
            self._next_poll = time.monotonic() + self._pause * random.uniform(1.0, 1.2)
        return max(0.01, self._next_poll - time.monotonic())

    def _request_all(self, batch: ServerBatch) -> None:
        """A queueing server gets all requests at once, so that its queue never runs dry; any other draws them here."""
        for path, sample in list(batch.left.items()):
            if batch.tickets.get(path) or time.monotonic() < batch.not_before.get(path, 0.0):
                continue
            if batch.dropped or batch not in self._batches or self.context.stopping.is_set():
                return
            request = sample.request(batch.lora)
            ticket = None
            if path in batch.tickets and request.lora is not None:  # the answer was lost
                ticket = self.server.find(request, batch.tickets.values())
            if ticket is None:
                self._note(batch, path, "")
                began = time.monotonic()
                answer = self.server.draw(request, self.context.limits.wait)
                if not isinstance(answer, str):
                    self.seconds = time.monotonic() - began
                    self.health.works("queue")
                    self._accept(batch, path, answer)
                    continue
                ticket = answer
            self._note(batch, path, ticket)

    def _note(self, batch: ServerBatch, path: str, ticket: str) -> None:
        """In the journal before the request and again with the answer: a kill between them leaves nothing unknown."""
        batch.tickets[path] = ticket
        self.journal.record_request(self.server.url, SentRequest(path, batch.name, ticket))

    def _poll(self, tickets: dict[str, tuple[ServerBatch, str]]) -> bool:
        """Whether anything of ours has changed. One question for the queue, one for each request that has left it."""
        held_back = {ticket for ticket, (batch, path) in tickets.items() if path in batch.held_back}
        progress = self.server.progress([ticket for ticket in tickets if ticket not in held_back])
        self.queued = progress.queued
        drawn, in_vain = 0, False
        for ticket in progress.finished:
            batch, path = tickets[ticket]
            if path in batch.held_back or batch not in self._batches:
                continue
            answer = self.server.collect(batch.left[path].request(batch.lora), ticket)
            if answer is None:  # those after it are not drawn either
                in_vain = True
                break
            drawn += 1
            self._accept(batch, path, answer)
            self._leave_if_over(batch)
        if any(batch.tickets for batch in self._batches):
            self.queue_watch.look(progress, drawn > 0)
        else:
            self.queue_watch.nothing_waits()
        self._shortest_pause = self.context.limits.poll * (2 if in_vain else 1)
        if drawn:
            now = time.monotonic()
            self.seconds, self._last_picture = min(now - self._last_picture, 600.0) / drawn, now
        return drawn > 0

    def _accept(self, batch: ServerBatch, path: str, answer: Picture | Failed) -> None:
        bring_again = self.keep_or_retry.accept(batch, path, answer)
        if bring_again:
            self._batches.remove(batch)
            self.queues.jobs.put(Bring(batch))

    def _leave_if_over(self, batch: ServerBatch) -> None:
        if batch not in self._batches:
            return
        for path in [path for path, sample in batch.left.items() if not self.context.store.is_missing(sample)]:
            batch.left.pop(path)  # another server was faster
        if batch.left and not batch.dropped:
            return
        self._batches.remove(batch)
        if not batch.dropped:
            self.queues.ended.put(batch)
        self.queues.jobs.put(Remove(batch))
        self.context.changed.set()
