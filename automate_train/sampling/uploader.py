"""The thread of a server that brings checkpoints there and takes them away, while the other one's pictures are drawn.

Covers: upload and proof, a new name where ours is taken, tasks and files of ours taken away, also an earlier session's.
Not: the queue (`drawer`), which batch goes where (`dispatch`).
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from functools import partial

from ..store.sample_journal import SampleJournal, SentRequest
from .context import Health, Office
from .schedule import lora_folder
from .server_batch import Work, new_name
from .servers import webui


class Carrier:
    """`bring` and `clear` may be called from any thread; what is asked for is done in that order, and repeated until
    the server has answered."""

    def __init__(
        self, client: Callable[[], webui.WebUI], url: str, office: Office, health: Health, ready: Callable[[Work], None]
    ) -> None:
        self._client, self.url, self.office, self.health, self._ready = client, url, office, health, ready
        self._errands: queue.Queue[tuple[Callable[[], None], Work | None] | None] = queue.Queue()
        self.busy = 0
        """Errands that are not done yet."""
        self.loras = True
        """False: nothing can be brought to this server, so there is nothing to take away."""

    def start(self) -> None:
        self.thread = self.office.thread(f"carrier {self.url}", self._run)

    def bring(self, work: Work) -> None:
        """In the end `ready(work)` is called; `work.refused` says if the server cannot have it."""
        self._put(lambda: self._bring(work), work)

    def clear(self, work: Work, done: Callable[[], None]) -> None:
        def clear() -> None:
            self._clear(work.lora, [each for each in self.samples.requests(self.url) if _of(each, work)])
            done()

        self._put(clear, None)

    def clear_leftovers(self, loras: list[str], asked: list[SentRequest]) -> None:
        """What an earlier session left, but for the batches that go on."""
        for lora in loras:
            self._put(partial(self._clear, lora, [each for each in asked if each.lora == lora]), None)
        self._put(partial(self._clear, "", [each for each in asked if each.lora not in loras]), None)

    def finish(self) -> None:
        """When everything else is done: nothing is left in our folder. Then the thread ends."""

        def sweep() -> None:
            if self.loras:
                folder = lora_folder(self.office.sweep)
                for name in self.client.hashes(folder):
                    self.client.delete(name, folder)

        self._put(sweep, None)
        self._errands.put(None)

    def _put(self, errand: Callable[[], None], work: Work | None) -> None:
        self.busy += 1
        self._errands.put((errand, work))

    def _run(self) -> None:
        self.client, self.samples = self._client(), SampleJournal(self.office.journal)
        while (errand := self._errands.get()) is not None:
            self._do(*errand)
            self.busy -= 1
            self.office.bell.set()
        self.samples.close()
        self.client.close()

    def _do(self, errand: Callable[[], None], work: Work | None) -> None:
        while not self.health.dead and not (work and (work.dropped or self.office.stop.is_set())):
            try:
                errand()
                self.health.good("files")
                break
            except (webui.Again, webui.Unreachable) as error:
                if self.office.stop.wait(self.health.bad("files", str(error))):
                    time.sleep(0.2)
            except webui.Final as error:
                self.health.kill(str(error))
        if work is not None:
            self._ready(work)

    def _bring(self, work: Work) -> None:
        folder = lora_folder(self.office.sweep)
        work.refused = ""
        try:
            if not work.hash12:
                work.hash12 = webui.lora_hash(work.file)
        except (webui.Final, OSError) as error:
            work.refused = str(error)
            return
        while True:
            try:
                self.client.upload(work.file, work.lora, folder)
                self.client.show(work.lora, folder)
                return
            except webui.Mismatch as error:
                self.office.say(str(error))
                self.samples.forget_upload(self.url, work.lora)
                work.lora = new_name(work.batch, self.office, self.samples, self.url)
                work.tasks.clear()
            except webui.Final as error:  # the file, or the server? then its other routes are refused, too
                self.client.probe()
                work.refused = str(error)
                return

    def _clear(self, lora: str, asked: list[SentRequest]) -> None:
        """First the tasks: they would be drawn without the LoRA."""
        for each in asked:
            task = each.task or (self.client.find(each.prompt, each.seed) if lora else None)
            if task:
                self.client.cancel(task)
            self.samples.forget_request(self.url, each.picture)
        if lora:
            self.client.delete(lora, lora_folder(self.office.sweep))
            self.samples.forget_upload(self.url, lora)


def _of(asked: SentRequest, work: Work) -> bool:
    return asked.lora == work.lora and (bool(work.lora) or asked.picture in {str(w.png) for w in work.batch.wanted})
