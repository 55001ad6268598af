"""One WebUI at work: its two threads, the batches that it has, how busy it is.

Covers: what may be asked of a server by the dispatcher. Not: which batch it gets (`dispatch`).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence

from ..store.sample_journal import SampleJournal
from .context import Health, Office
from .generator import Drawer
from .image_store import Batch
from .server_batch import Work, begun
from .servers import webui
from .uploader import Carrier

AT_ONCE = 2
"""Batches on a server: one is drawn, the next is brought and queued, so that the queue never runs dry."""


class Server:
    """`url` may hold no credentials. `Final` for an address that is none."""

    def __init__(
        self, url: str, office: Office, auth: str | None, uploader_auth: str | None, lora_dir: str | None
    ) -> None:
        def client() -> webui.WebUI:
            return webui.WebUI(url, auth, uploader_auth, lora_dir)

        self.url = webui.base_url(url)
        self.office, self.health = office, Health(self.url, office)
        self.works: list[Work] = []
        """Not over: something is left to draw, or to take away."""
        self.ended: deque[Work] = deque()
        """Completed or refused, for the dispatcher to see."""
        self._by_folder = bool(lora_dir)
        self.carrier = Carrier(client, self.url, office, self.health, self._brought)
        self.drawer = Drawer(
            client, self.url, office, self.health, over=self._over, again=self.carrier.bring, probed=self._probed
        )

    def start(self) -> None:
        self.carrier.start()
        self.drawer.start()

    def give(self, batch: Batch, samples: SampleJournal) -> None:
        work = begun(batch, self.office, samples, self.url)
        self.works.append(work)
        if work.lora:
            self.carrier.bring(work)
        else:
            self.drawer.take(work)

    def clear_leftovers(self, samples: SampleJournal, batches: Sequence[Batch]) -> None:
        """Before anything is given: take away what an earlier session left, but for these batches."""
        names, pictures = {batch.id for batch in batches}, {str(w.png) for batch in batches for w in batch.wanted}
        brought = samples.uploads(self.url)
        kept = {name for name, batch in brought.items() if batch in names}
        asked = [each for each in samples.requests(self.url) if each.lora not in kept and each.picture not in pictures]
        self.carrier.clear_leftovers([name for name in brought if name not in kept], asked)

    def drop(self, work: Work) -> None:
        """Another server has the batch: take away what is ours, when this one answers."""
        work.dropped = True
        self.drawer.wake()

    @property
    def drawing(self) -> list[Work]:
        return [work for work in self.works if work.left and not work.dropped and not work.refused]

    @property
    def is_new(self) -> bool:
        """It may answer any moment."""
        return not self.drawer.ready and self.health.fine

    @property
    def answers(self) -> bool:
        return self.drawer.ready and self.health.fine

    @property
    def has_room(self) -> bool:
        return self.answers and len(self.drawing) < AT_ONCE

    @property
    def load(self) -> float:
        """Pictures that wait here, ours and others'."""
        ours = sum(len(work.left) for work in self.drawing)
        queued = sum(len(work.tasks) for work in self.drawing)
        return ours + max(0, self.drawer.others - queued)

    def lost(self, seconds: float, now: float | None = None) -> bool:
        """Whether it has not answered, or done nothing for us, for so long."""
        now = time.monotonic() if now is None else now
        return bool(self.health.dead) or max(self.health.silent(now), self.health.idle(now)) > seconds

    def _probed(self, abilities: webui.Abilities) -> None:
        if not abilities.uploader and not self._by_folder:
            self.carrier.loras = False
            self.health.kill(
                f"{self.url} has no model uploader: install that extension (it also fails to load without internet), "
                "or set webui_lora_dir to a folder shared with the server"
            )

    def _brought(self, work: Work) -> None:
        if work.refused and not work.dropped:
            self.ended.append(work)
        if work.refused or work.dropped:
            self._over(work)
        else:
            self.drawer.take(work)

    def _over(self, work: Work) -> None:
        if not work.left and not work.dropped:
            self.ended.append(work)

        def gone() -> None:
            if work in self.works:
                self.works.remove(work)

        self.carrier.clear(work, gone)
        self.office.bell.set()
