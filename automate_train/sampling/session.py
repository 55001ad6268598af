"""One session of the sampler, from its lock to its exit code.

Covers: looking, giving out, ending, in a loop that a test could read aloud; the pipe from the sweep; what is noted for
`status`. Not: what happens in these steps (`lookout`, `dispatch`, `late`).
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from ..config.keys import unset
from ..config.sampling_options import webui_addresses
from ..machine import lock
from ..store.layout import SweepFolder
from ..store.sample_journal import SampleJournal, note_counts
from ..store.sweep_file import sweep_id
from .context import Limits, Office
from .dispatch import Dispatch
from .image_store import Batch, Desk
from .planner import Lookout, Wish
from .server import Server
from .servers import webui
from .tracker_backfill import Late

AUTH, UPLOADER_AUTH = "AUTOMATE_TRAIN_WEBUI_AUTH", "AUTOMATE_TRAIN_WEBUI_UPLOADER_AUTH"
"""The environment variables with `user:password`."""
GOODBYE, SILENT = 10.0, 1.0
"""Seconds for taking our things away at the end; on a server that does not answer the next session does it."""


def run(
    folder: SweepFolder, *, prompt_path: str | None = None, urls: Sequence[str] = (),
    only: Sequence[range] | None = None, epochs: Sequence[range] | None = None,
    follow: bool = False, limits: Limits | None = None,
    say: Callable[[str], None] = print, environment: Mapping[str, str] = os.environ,
) -> int:  # fmt: skip
    """Make the samples that are missing. 0: all are there; 1: some are marked as failed, or could not be made.

    `follow`: standard input is a pipe from the sweep: a line means that there is something new, its end that nothing
    more comes. `only`: indexes of runs; `epochs`: of these checkpoints alone. `UserError`: another sampler is at work.
    """
    wish = Wish(prompt_path, tuple(urls), only, epochs)
    with ExitStack() as stack:
        _hold(stack, folder.sampler_lock, follow)
        samples = stack.enter_context(closing(SampleJournal(folder.journal)))
        return Session(folder, wish, samples, limits or Limits(), say, environment, follow).run()


def _hold(stack: ExitStack, file: Path, patient: bool) -> None:
    """One sampler a sweep. That of a killed sweep ends when it has made what was due then: the next sweep's waits."""
    while patient and lock.is_held(file):
        time.sleep(0.5)
    stack.enter_context(lock.held(file))


class Session:
    def __init__(
        self, folder: SweepFolder, wish: Wish, samples: SampleJournal, limits: Limits, say: Callable[[str], None],
        environment: Mapping[str, str], follow: bool,
    ) -> None:  # fmt: skip
        self.folder, self.wish, self.samples, self.say, self.environment = folder, wish, samples, say, environment
        self.troubles: list[str] = []
        desk = Desk(again=not follow)
        self.office = Office(folder.journal, sweep_id(folder, samples.journal), desk, limits, say)
        self.lookout = Lookout(folder, samples, wish, desk, self._trouble)
        self.dispatch = Dispatch(self.office, samples)
        self.late = Late(say)
        self.news = News(self.office.bell, follow)
        self.guests: list[Server] = []
        self._noted: dict[str, Any] = {}
        self._used: set[str] = set()

    def run(self) -> int:
        ended, eof = 0.0, False
        try:
            while True:
                self.office.bell.clear()
                if self.office.bug is not None:
                    raise self.office.bug
                eof = self.news.ended
                if self.news.take():
                    self._look()
                self.dispatch.step()
                self._log_late()
                self._note()
                ended = ended or (time.monotonic() if eof else 0.0)
                if eof and not self.late.busy and self.dispatch.over:
                    break
                if eof and not self.dispatch.over and self.dispatch.hopeless(ended):
                    self._stop()
                    return self._summary()
                idle = not eof and not self.late.busy and self.dispatch.over
                self.office.bell.wait(None if idle else 0.5)
        except BaseException:
            self._stop()
            raise
        self._end()
        return self._summary()

    def _trouble(self, text: str) -> None:
        self.troubles.append(text)
        self.say(text)

    def _look(self) -> None:
        found = self.lookout.look()
        self.dispatch.waiting += found
        if found or self.samples.servers():
            self._open_servers()

    def _open_servers(self) -> None:
        """Those that a person names, else those of the runs' options."""
        for url, lora_dir in self._addresses():
            known = {each.url for each in self.dispatch.servers}
            if url not in self._used and (server := self._server(url, lora_dir)) and server.url not in known:
                self.dispatch.add(server)
            self._used.add(url)
        if self.dispatch.waiting and not self.dispatch.servers:
            self._trouble("no webui_url is set: give --webui-url")
        for url in self.samples.servers() - {each.url for each in (*self.dispatch.servers, *self.guests)}:
            if server := self._server(url, None):  # of an earlier session: only to take our things away
                self.guests.append(server)
                server.clear_leftovers(self.samples, [])
                server.carrier.start()

    def _server(self, url: str, lora_dir: str | None) -> Server | None:
        auth, uploader_auth = (self.environment.get(name) or None for name in (AUTH, UPLOADER_AUTH))
        try:
            return Server(url, self.office, auth, uploader_auth, lora_dir)
        except webui.Final as error:
            self._trouble(str(error))
            return None

    def _addresses(self) -> dict[tuple[str, str | None], None]:
        found: dict[tuple[str, str | None], None] = {}
        for run in self.samples.journal.records():
            if run.attempts and self.wish.wants(run):
                for url in self.wish.urls or webui_addresses(run.options):
                    folder = run.options.get("webui_lora_dir")
                    found[url, None if unset(folder) else str(folder)] = None
        return found

    def _log_late(self) -> None:
        """Attempts that have ended, none of whose samples is under way."""
        open_ids = {batch.id for batch in self.dispatch.unfinished()}
        for attempt, ids in self.lookout.ended.items():
            if not ids & open_ids:
                self.late.ask(attempt)
        self.late.step()

    def _note(self) -> None:
        """For `status`: how many pictures are made and how many are left."""
        states = dict(self.office.desk.states)
        left = sum(len(batch.wanted) for batch in self.dispatch.unfinished())
        troubled = {s.url: s.health.told for s in self.dispatch.servers if s.health.told}
        now = {"left": left, "servers": troubled, **{state.replace(" ", "_"): n for state, n in states.items()}}
        if now != self._noted:
            self._noted = now
            note_counts(self.folder, self.samples.journal, now)

    def _stop(self) -> None:
        """A person has stopped us: take away what is ours, and do not take long."""
        deadline = time.monotonic() + GOODBYE
        self.office.stop.set()
        self.late.stop()
        for server in self.dispatch.servers:
            server.drawer.wake()
        for server in self.dispatch.servers:
            server.drawer.thread.join(max(0.0, min(3.0, deadline - time.monotonic())))
            for work in list(server.works):
                server.carrier.clear(work, lambda: None)
            server.carrier.finish()
        self._wait_for_carriers(self.dispatch.servers, deadline)

    def _end(self) -> None:
        deadline = time.monotonic() + GOODBYE
        everywhere = [*self.dispatch.servers, *self.guests]
        for server in self.dispatch.servers:
            server.drawer.ended = True
            server.drawer.wake()
        for server in everywhere:
            server.carrier.finish()
        self._wait_for_carriers(everywhere, deadline)

    def _wait_for_carriers(self, servers: Sequence[Server], deadline: float) -> None:
        for server in servers:
            soon = SILENT if server.health.silent(time.monotonic()) else GOODBYE
            if not server.health.dead:
                server.carrier.thread.join(max(0.0, min(soon, deadline - time.monotonic())))

    def _summary(self) -> int:
        left: list[Batch] = list(self.dispatch.unfinished())
        states = dict(self.office.desk.states)
        done = states.pop("done", 0)
        if done or states:
            told = [f"{done} samples", *(f"{count} {state}" for state, count in states.items())]
            self.say(", ".join(told))
        if left:
            for batch in left:
                batch.go_on("no server answers\n")
            self.say(
                f"{sum(len(batch.wanted) for batch in left)} samples are missing: `automate-train sample` makes them"
            )
        return 1 if left or states or self.troubles else 0


class News:
    """The pipe from the sweep. Without one there is one piece of news, and it has ended."""

    def __init__(self, bell: threading.Event, follow: bool) -> None:
        self._bell, self._some = bell, True
        self.ended = not follow
        if follow:
            threading.Thread(target=self._read, name="news", daemon=True).start()

    def take(self) -> bool:
        some, self._some = self._some, False
        return some

    def _read(self) -> None:
        while os.read(0, 65536):
            self._some = True
            self._bell.set()
        self._some = self.ended = True
        self._bell.set()
