"""A picture has come, or word that there will be none: is it kept, marked, or asked for once more?

Covers: one more try for what has failed, a LoRA that a server does not use, a server without memory, another base model
than the sweep's. Not: fetching pictures (`generator`), the proof itself (`ImageServer.verify`), files (`image_store`).
"""

from __future__ import annotations

import time

from ..store.sample_journal import SampleJournal
from .context import SamplingContext
from .image_store import Result
from .server_batch import ServerBatch
from .servers.protocol import BaseModel, Failed, ImageServer, Picture, SampleRequest, Verdict

MEMORY_TRIES = 5
"""How often a picture is asked for again for which a server had too little memory, which a neighbour may give back."""


class KeepOrRetry:
    """Of one server, in the thread of its generator."""

    def __init__(self, server: ImageServer, context: SamplingContext, journal: SampleJournal) -> None:
        self.server, self.context, self.journal = server, context, journal
        self._hides_loras = False
        """This server does not say which LoRAs it uses: one more try for each checkpoint is enough."""

    def accept(self, batch: ServerBatch, path: str, answer: Picture | Failed) -> bool:
        """True: the LoRA must be brought once more before this picture can be drawn again."""
        if isinstance(answer, Failed):
            return self._accept_failure(batch, path, answer)
        request = batch.left[path].request(batch.lora)
        verdict = self._verdict(request, answer)
        if verdict.state == "base model only" and not self._hides_loras and batch.tries[path] < 2:
            return self._once_more_with_lora(batch, path)
        if request.lora:
            self._hides_loras = not verdict.names_loras
            batch.proved = batch.proved or verdict.state == "done"
        self._keep(batch, path, verdict, answer)
        return False

    def _verdict(self, request: SampleRequest, picture: Picture) -> Verdict:
        """The first picture's base model is the sweep's."""
        verdict = self.server.verify(request, picture, self.context.base_model)
        if self.context.base_model is not None or verdict.base is None or verdict.state != "done":
            return verdict
        self.context.base_model = BaseModel.read(self.journal.first_base_model(str(verdict.base)))
        return self.server.verify(request, picture, self.context.base_model)  # another server may have been first

    def _accept_failure(self, batch: ServerBatch, path: str, failed: Failed) -> bool:
        if failed.out_of_memory and (tried := batch.out_of_memory[path]) < MEMORY_TRIES:
            batch.out_of_memory[path] += 1
            wait = self.context.limits.memory * (2**tried - 1)  # at once the first time
            batch.not_before[path] = time.monotonic() + wait
            again = f"{batch.left[path].png.name} is asked for again{f' in {wait:.0f} s' if wait else ''}"
            self.context.say(f"{self.server.url}: its GPU is out of memory (a queue may pause itself then): {again}")
            self._forget(batch, path)
            return False
        if batch.lora and batch.lora.name in failed.reason and batch.tries[path] < 2:  # a server without it may say so
            return self._once_more_with_lora(batch, path)
        if batch.tries[path] or failed.final:
            self._keep(batch, path, failed)
        else:
            self._once_more(batch, path)
        return False

    def _once_more_with_lora(self, batch: ServerBatch, path: str) -> bool:
        """A server that was started anew draws without the LoRA until it has looked at its files again: bring it again,
        draw one picture and see, before the others are drawn twice in vain."""
        if not batch.proved and batch.probe not in ("", path):
            batch.held_back.add(path)
            return False
        self._once_more(batch, path)
        if batch.proved:
            return False
        batch.probe = path
        return True

    def _once_more(self, batch: ServerBatch, path: str) -> None:
        batch.tries[path] += 1
        self._forget(batch, path)

    def _keep(self, batch: ServerBatch, path: str, found: Verdict | Failed, picture: Picture | None = None) -> None:
        sample = batch.left[path]
        request = sample.request(batch.lora)
        lora, sent = request.lora.name if request.lora else None, self.server.parameters(request)
        state, base = (found.state, found.base) if isinstance(found, Verdict) else ("failed", None)
        base_model = str(base) if base else ""
        result = Result(state, found.reason, self.server.url, lora, sent, base_model, picture)
        self.context.store.put(batch.batch, sample, result)
        if path == batch.probe or batch.proved:
            batch.probe = ""
            batch.held_back.clear()
        batch.left.pop(path)  # only now: the dispatcher takes what is not left for made
        self._forget(batch, path)

    def _forget(self, batch: ServerBatch, path: str) -> None:
        batch.tickets.pop(path, None)
        self.journal.forget_request(self.server.url, path)
