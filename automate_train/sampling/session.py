"""One session of the sampler, from its lock to its exit code.

Covers: planning, giving out, ending, in a loop that can be read aloud; the pipe from the sweep; what is noted for
`status`. Not: what happens in these steps (`planner`, `dispatch`, `tracker_backfill`).
"""

from __future__ import annotations

import os
import shlex
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

from ..config.masking import Masker, masker_of
from ..config.sampling_options import webui_addresses
from ..machine import lock
from ..store.layout import SweepFolder
from ..store.sample_journal import SampleJournal, note_counts
from ..store.sweep_file import sweep_id
from .context import Limits, SamplingContext
from .dispatch import Dispatch
from .image_store import ImageStore
from .planner import Planner, SampleSelection
from .schedule import lora_folder
from .server_worker import ServerWorker
from .servers.protocol import BaseModel, ServerError
from .servers.webui.server import connect
from .tracker_backfill import TrackerBackfill

LAST_REMOVALS, LAST_REMOVALS_SILENT = 10.0, 1.0
"""Seconds for removing our things at the end; on a server that does not answer, the next session does it."""


def run(
    folder: SweepFolder, selection: SampleSelection, *, follow: bool = False, above: Mapping[str, object] | None = None,
    limits: Limits | None = None, say: Callable[[str], None] = print, environment: Mapping[str, str] = os.environ,
) -> int:  # fmt: skip
    """Make the samples that are missing. 0: all are there; 1: some are marked as failed, or could not be made.

    `follow`: standard input is a pipe from the sweep (see `SweepPipe`). `above`: options above those of the runs.
    `environment`: where the servers' passwords are. `UserError`: another sampler is at work on this sweep.
    """
    masker = masker_of({}, environment)

    def say_masked(text: str) -> None:
        say(masker.text(text))

    try:
        with ExitStack() as stack:
            _hold(stack, folder.sampler_lock, wait=follow)
            journal = stack.enter_context(closing(SampleJournal(folder.journal)))
            options = above or {}
            return Session(folder, selection, journal, options, limits, say_masked, environment, follow, masker).run()
    except Exception as error:
        masker.error(error)
        raise


def _hold(stack: ExitStack, file: Path, wait: bool) -> None:
    """One sampler a sweep. That of a killed sweep ends when it has made what was due then: the next sweep's waits."""
    while wait and lock.is_held(file):
        time.sleep(0.5)
    stack.enter_context(lock.held(file))


class Session:
    def __init__(
        self, folder: SweepFolder, selection: SampleSelection, sample_journal: SampleJournal,
        above: Mapping[str, object], limits: Limits | None, say: Callable[[str], None],
        environment: Mapping[str, str], follow: bool, masker: Masker,
    ) -> None:  # fmt: skip
        """`masker`: what a server says may hold a password, and is written down."""
        self.folder, self.selection, self.sample_journal, self.above = folder, selection, sample_journal, above
        self.say, self.environment, self.follow = say, environment, follow
        self.masker, self.has_problems = masker, False
        store = ImageStore(folder, say, masker)
        sweep, journal = sweep_id(folder, sample_journal.journal), sample_journal.journal
        options = next((run.options for run in journal.records() if selection.wants(run)), {})
        limits = limits or Limits.of({**options, **above})
        self.context = SamplingContext(folder.journal, sweep, store, limits, say)
        if base := sample_journal.first_base_model():
            self.context.base_model = BaseModel.read(base)
        self.planner = Planner(folder, sample_journal, selection, store)
        self.dispatch = Dispatch(self.context, sample_journal)
        self.backfill = TrackerBackfill(say)
        self.pipe = SweepPipe(self.context.changed, follow)
        self.to_clean: list[ServerWorker] = []
        """Servers of earlier sessions, from which our things are only removed."""
        self._opened: set[str] = set()
        """Addresses as they are written."""
        self._noted: dict[str, object] = {}

    def run(self) -> int:
        closed_at = 0.0
        try:
            while True:
                self.context.changed.clear()
                if self.context.error is not None:
                    raise self.context.error
                closed = self.pipe.is_closed
                if self.pipe.take_news():
                    self._plan()
                self.dispatch.step()
                self._backfill_trackers()
                self._note()
                if closed and not closed_at:
                    closed_at = time.monotonic()
                    self._limit_the_end()
                idle = self.dispatch.is_over and not self.backfill.is_busy
                if closed and idle:
                    break
                if closed and not self.dispatch.is_over and self.dispatch.is_hopeless(closed_at):
                    for batch in self.dispatch.unfinished():
                        self.context.store.let_training_go_on(batch, "no server answers\n")
                    self._stop()
                    return self._summary()
                self.context.changed.wait(None if idle else 0.5)
        except BaseException:
            self._stop()
            raise
        self._end()
        return self._summary()

    def _limit_the_end(self) -> None:
        """A sweep that is over does not wait for a queue that stands still as long as one that trains."""
        limits = self.context.limits
        if self.follow:
            self.context.limits = replace(limits, wait=min(limits.wait, limits.outage))

    def _say_problem(self, text: str) -> None:
        self.has_problems = True
        self.say(text)

    def _plan(self) -> None:
        plan = self.planner.plan()
        for problem in plan.problems:
            self._say_problem(problem)
        self.dispatch.waiting += plan.batches
        if plan.batches or self.sample_journal.servers():
            self._open_servers()

    def _open_servers(self) -> None:
        """Those that a person names, else those of the runs' options."""
        for url, options in self._addresses().items():
            opened = {each.url for each in self.dispatch.servers}
            if url not in self._opened and (worker := self._worker(url, options)) and worker.url not in opened:
                self.dispatch.add(worker)
            self._opened.add(url)
        if self.dispatch.waiting and not self.dispatch.servers:
            self._say_problem("no webui_url is set: give --webui-url")
        for url in self.sample_journal.servers() - {each.url for each in (*self.dispatch.servers, *self.to_clean)}:
            if worker := self._worker(url, {}):
                self.to_clean.append(worker)
                worker.remove_leftovers(self.sample_journal, [])
                worker.uploader.start()

    def _addresses(self) -> dict[str, Mapping[str, object]]:
        """Each with the options of a run that is sampled there."""
        found: dict[str, Mapping[str, object]] = {}
        for run in self.sample_journal.journal.records():
            if run.attempts and self.selection.wants(run):
                options = {**run.options, **self.above}
                for url in self.selection.urls or webui_addresses(options):
                    found.setdefault(url, options)
        return found

    def _worker(self, url: str, options: Mapping[str, object]) -> ServerWorker | None:
        try:
            return ServerWorker(connect(url, lora_folder(self.context.sweep), options, self.environment), self.context)
        except ServerError as error:
            self._say_problem(str(error))
            return None

    def _backfill_trackers(self) -> None:
        """For attempts that have ended, when all their samples are made."""
        unfinished = {batch.id for batch in self.dispatch.unfinished()}
        for attempt, batches in self.planner.ended.items():
            if not batches & unfinished:
                self.backfill.add(attempt)
        self.backfill.step()

    def _note(self) -> None:
        """For `status`: how many pictures are made and how many are left."""
        problems = {each.url: each.health.problem for each in self.dispatch.servers if each.health.problem}
        made = {state.replace(" ", "_"): count for state, count in self.context.store.counts.items()}
        now = self.masker.value({"left": self.context.store.left, "servers": problems, **made})
        if now != self._noted:
            self._noted = now
            note_counts(self.folder, self.sample_journal.journal, now)

    def _stop(self) -> None:
        """A person has stopped us, or nothing more can be done: remove what is ours, and do not take long."""
        deadline = time.monotonic() + LAST_REMOVALS
        self.context.stopping.set()
        self.backfill.stop()
        for worker in self.dispatch.servers:
            worker.generator.look_again()
        for worker in self.dispatch.servers:
            worker.generator.thread.join(max(0.0, min(3.0, deadline - time.monotonic())))
            worker.remove_all()
            worker.finish()
        _wait_for_uploaders(self.dispatch.servers, deadline)

    def _end(self) -> None:
        everywhere = [*self.dispatch.servers, *self.to_clean]
        for worker in everywhere:
            worker.finish()
        _wait_for_uploaders(everywhere, time.monotonic() + LAST_REMOVALS)

    def _summary(self) -> int:
        """Say how the sweep's samples stand and what is left on servers; the exit code."""
        store, left = self.context.store, self.context.store.left
        counts = store.counts
        parts = [f"{count} {state}" for state, count in (*counts.items(), ("missing", left)) if count]
        all_of_them = counts.total() + left
        if store.planned:
            self.say(f"{_counted(all_of_them, 'sample')}: {', '.join(parts)}")
        elif not self.follow:
            self.say(f"nothing to do: {', '.join(parts) or 'no checkpoint of this sweep is to be sampled'}")
        command = f"automate-train sample {shlex.quote(str(self.folder.path))}"
        if left:
            self.say(f"{_counted(left, 'sample')} {'are' if left > 1 else 'is'} missing: `{command}` makes them")
        if marked := counts.total() - counts["done"]:
            self.say(f"{marked} {'are' if marked > 1 else 'is'} marked as not done: `{command}` tries them again")
        for url in sorted(self.sample_journal.servers()):
            loras = _counted(len(self.sample_journal.uploads(url)), "LoRA")
            requests = _counted(len(self.sample_journal.requests(url)), "request")
            self.say(f"{url}: {loras} and {requests} of ours are left there: `{command}` removes them")
        return 0 if store.all_done and not self.has_problems else 1


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"


def _wait_for_uploaders(workers: list[ServerWorker], deadline: float) -> None:
    for worker in workers:
        soon = LAST_REMOVALS_SILENT if worker.health.silent_for(time.monotonic()) else LAST_REMOVALS
        if not worker.health.given_up:
            worker.uploader.thread.join(max(0.0, min(soon, deadline - time.monotonic())))


class SweepPipe:
    """The pipe from the sweep: a line means that there is something new, its end that nothing more comes. Without a
    sweep (`follow` False) there is news once, and the pipe is closed."""

    def __init__(self, changed: threading.Event, follow: bool) -> None:
        self._changed, self._has_news = changed, True
        self.is_closed = not follow
        if follow:
            threading.Thread(target=self._read, name="pipe from the sweep", daemon=True).start()

    def take_news(self) -> bool:
        had_news, self._has_news = self._has_news, False
        return had_news

    def _read(self) -> None:
        while os.read(0, 65536):
            self._has_news = True
            self._changed.set()
        self._has_news = self.is_closed = True
        self._changed.set()
