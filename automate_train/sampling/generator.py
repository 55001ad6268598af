"""The thread of a server that has pictures drawn: queues them, asks how they stand, judges and keeps them.

Covers: all of a checkpoint's tasks queued before waiting, lost answers, how often to ask, servers without a scheduler.
Not: bringing the LoRA (`carrier`), stalls (`stalls`), what a picture is worth (`judge`), which server (`dispatch`).
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Any

from ..errors import UserError
from ..store.sample_journal import SampleJournal, SentRequest
from .acceptance import Judge
from .context import Health, Office
from .queue_watch import Stalls
from .server_batch import Work
from .servers import webui
from .servers.webui.payload import payload


class Drawer:
    """`take(work)` from any thread, when its LoRA is on the server. `over(work)` is called with all pictures settled;
    `again(work)` when the LoRA must be brought once more."""

    def __init__(
        self, client: Callable[[], webui.WebUI], url: str, office: Office, health: Health, *,
        over: Callable[[Work], None], again: Callable[[Work], None], probed: Callable[[webui.Abilities], None],
    ) -> None:  # fmt: skip
        self._client, self.url, self.office, self.health = client, url, office, health
        self._over, self._again, self._probed = over, again, probed
        self._wake = threading.Event()
        self._incoming: list[Work] = []
        self._works: list[Work] = []
        self._next_poll, self._pause, self._least = 0.0, office.limits.poll, office.limits.poll
        self._moved = time.monotonic()
        self.others = 0
        """Tasks of everybody that wait in its queue."""
        self.seconds = 0.0
        """What a picture takes, as far as it is known."""
        self.ready = False
        """Probed, and can be given work."""
        self.ended = False

    def start(self) -> None:
        self.thread = self.office.thread(f"drawer {self.url}", self._run)

    def take(self, work: Work) -> None:
        self._incoming.append(work)
        self._wake.set()

    def wake(self) -> None:
        self._wake.set()

    def _run(self) -> None:
        self.client, self.samples = self._client(), SampleJournal(self.office.journal)
        self.judge = Judge(self.url, self.office, self.samples)
        self.stalls = Stalls(self.client, self.office, self.health)
        while not self.ended and not self.health.dead and not self.office.stop.is_set():
            try:
                self.scheduler = self._probe()
                break
            except webui.Again as error:
                self._wake.wait(self.health.bad("probe", str(error)))
        lost = False
        while not self.ended and not self.health.dead and not self.office.stop.is_set():
            self._wake.clear()
            try:
                if lost:
                    self.client.refresh()  # a server that was started anew knows no LoRA
                lost, pause = False, self._round()
                self.health.good("queue")
            except webui.Again as error:
                lost, pause = True, self.health.bad("queue", str(error))
            except webui.Final as error:
                self.health.kill(str(error))
                break
            self._wake.wait(pause)
        self.samples.close()
        self.client.close()

    def _probe(self) -> bool:
        try:
            abilities = self.client.probe()
        except webui.Unreachable as error:
            raise webui.Again(str(error)) from None
        except webui.Final as error:
            self.health.kill(str(error))
            return False
        if abilities.scheduler:
            self.others = self.client.state().total
            self._next_poll = time.monotonic() + 2 * self.office.limits.poll  # the probe has asked, too
        self.health.good("probe")
        self._probed(abilities)
        self.ready = not self.health.dead
        self.office.bell.set()
        return abilities.scheduler

    def _round(self) -> float | None:
        """One look at everything; seconds until the next, None: when something comes."""
        self._works += [self._incoming.pop(0) for _ in range(len(self._incoming))]
        for work in list(self._works):
            if work.dropped:
                self._leave(work)
                continue
            if self.scheduler:
                self._queue(work)
            else:
                self._draw(work)
            if work in self._works:
                self._leave_if_settled(work)
        if not any(work.tasks for work in self._works):
            if not self.scheduler or not self.office.hungry:
                return None
            if time.monotonic() >= self._next_poll:
                self.others = self.client.state().total
                self._next_poll = time.monotonic() + self.office.limits.poll
            return self.office.limits.slowest
        now = time.monotonic()
        if now >= self._next_poll:
            changed = self._poll()
            slowest = min(self.office.limits.slowest, max(self.office.limits.kick / 2, self.seconds / 3))
            self._pause = max(self._least, 0.0 if changed else min(self._pause * 1.4, slowest))
            self._next_poll = time.monotonic() + self._pause * random.uniform(1.0, 1.2)
        return max(0.01, self._next_poll - time.monotonic())

    def _body(self, work: Work, key: str) -> dict[str, Any] | None:
        """What is sent for one wanted picture; None when its prompt cannot be (a missing image), which settles it."""
        wanted = work.left[key]
        try:
            return payload(wanted.prompt, None if wanted.shot.baseline else work.lora, wanted.shot.weight, wanted.seed)
        except UserError as error:
            self.judge.settle(work, key, "failed", str(error))
            return None

    # the scheduler's queue

    def _queue(self, work: Work) -> None:
        for key, wanted in list(work.left.items()):
            asked = work.tasks.get(key)
            if asked is not None and asked.task:
                continue
            if (body := self._body(work, key)) is None:
                continue
            text = str(body["prompt"])
            task = None
            if asked is not None and work.lora:  # its answer was lost: the name in the text is ours alone
                known = {each.task for each in work.tasks.values()}
                task = self.client.find(text, wanted.seed, known)
            if task is None:
                asked = SentRequest(key, work.lora, "", text, wanted.seed)
                self._keep(work, asked)
                try:
                    task = self.client.queue(body)
                except webui.Final as error:  # the picture, or the server? then its other routes are refused, too
                    self.client.state()
                    self.judge.settle(work, key, "failed", str(error))
                    continue
            self._keep(work, SentRequest(key, work.lora, task, text, wanted.seed))

    def _keep(self, work: Work, asked: SentRequest) -> None:
        work.tasks[asked.picture] = asked
        self.samples.record_request(self.url, asked)

    def _poll(self) -> bool:
        """Whether anything of ours has changed. One question for the queue, one for each task that has left it."""
        state = self.client.state()
        self.others = state.total
        drawn, beyond, page = 0, False, state.total > len(state.pending_ids)
        asked_in_vain = False
        for work in list(self._works):
            for key, task in list(work.tasks.items()):
                if task.task in state.pending_ids:
                    beyond = page  # those that were queued later wait, too, be it beyond the list's first page
                if beyond or key in work.held or task.task in (*state.pending_ids, state.current):
                    continue
                result = self.client.result(task.task)
                if isinstance(result, webui.Waiting):
                    beyond = asked_in_vain = True
                    continue
                drawn += 1
                self._judge(work, key, result)
                if work not in self._works:
                    break
            if work in self._works:
                self._leave_if_settled(work)
        if any(work.tasks for work in self._works):
            self.stalls.look(state, drawn > 0)
        else:
            self.stalls.over()
        self._least = self.office.limits.poll * (2 if asked_in_vain else 1)
        if drawn:
            now = time.monotonic()
            self.seconds, self._moved = min(now - self._moved, 600.0) / drawn, now
        return drawn > 0

    # without a scheduler

    def _draw(self, work: Work) -> None:
        for key in list(work.left):
            if work.dropped or self.office.stop.is_set() or work not in self._works:
                return
            if (body := self._body(work, key)) is None:
                continue
            began = time.monotonic()
            try:
                pictures = self.client.txt2img(body, self.office.limits.wait)
            except webui.Final as error:
                self.client.probe()
                self.judge.settle(work, key, "failed", str(error))
                continue
            self.seconds = time.monotonic() - began
            self.health.good("queue")
            self._judge(work, key, pictures)

    def _judge(self, work: Work, key: str, result: webui.Failed | list[webui.Picture]) -> None:
        if self.judge.judge(work, key, result):
            self._works.remove(work)
            self._again(work)

    def _leave_if_settled(self, work: Work) -> None:
        for key in [key for key, wanted in work.left.items() if not self.office.desk.is_open(wanted)]:
            work.left.pop(key)  # another server was faster
        if not work.left:
            self._leave(work)

    def _leave(self, work: Work) -> None:
        if work in self._works:
            self._works.remove(work)
            self._over(work)
