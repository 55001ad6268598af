"""A picture has come, or word that there will be none: is it kept, marked, or asked for once more?

Covers: one more try for what has failed, a LoRA that a server does not use, what is written of each picture. Not:
fetching pictures (`generator`), the proof itself (`ImageServer.verify`).
"""

from __future__ import annotations

from ..store.sample_journal import SampleJournal
from .context import SamplingContext
from .image_store import Result
from .server_batch import ServerBatch
from .servers.protocol import Failed, ImageServer, Picture


class Acceptance:
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
        verdict = self.server.verify(request, answer)
        if verdict.state == "base model only" and not self._hides_loras and batch.tries[path] < 2:
            return self._once_more_with_lora(batch, path)
        if request.lora:
            self._hides_loras = not verdict.names_loras
            batch.proved = batch.proved or verdict.state == "done"
        self._keep(batch, path, verdict.state, verdict.reason, answer)
        return False

    def _accept_failure(self, batch: ServerBatch, path: str, failed: Failed) -> bool:
        if failed.out_of_memory:
            self.context.say(f"{self.server.url}: its GPU is out of memory (a queue may pause itself then)")
        if batch.lora and batch.lora.name in failed.reason and batch.tries[path] < 2:  # a server without it may say so
            return self._once_more_with_lora(batch, path)
        if batch.tries[path] or failed.final:
            self._keep(batch, path, "failed", failed.reason)
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

    def _keep(self, batch: ServerBatch, path: str, state: str, reason: str, picture: Picture | None = None) -> None:
        sample = batch.left[path]
        request = sample.request(batch.lora)
        lora = request.lora.name if request.lora else None
        result = Result(state, reason, self.server.url, lora, self.server.parameters(request), picture)
        if self.context.store.put(batch.batch, sample, result) and state != "done":
            self.context.say(f"{sample.png.name}: {state}: {reason}")
        if path == batch.probe or batch.proved:
            batch.probe = ""
            batch.held_back.clear()
        batch.left.pop(path)  # only now: the dispatcher takes what is not left for made
        self._forget(batch, path)

    def _forget(self, batch: ServerBatch, path: str) -> None:
        batch.tickets.pop(path, None)
        self.journal.forget_request(self.server.url, path)
