"""Runs made ready ahead, and their start when a device is free.

Covers: the window of prepared runs, asking placement and obeying it, what is written before a run starts, a run that
cannot be prepared or started. Not: who may start (`placement`), how (`executors`), what follows when one has ended
(`loop`).
"""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Callable, Mapping

from ..config.masking import Masker
from ..errors import RunError, UserError
from ..executors.protocol import Executor
from ..machine.open_files import can_open
from ..records import Run
from ..store.history import RunHistory
from ..store.journal import Journal
from ..store.launch import write_attempt
from ..store.progress import Progress
from ..sweep.record import record_of
from ..sweep.strategies import Strategy
from . import latents_cache
from .interfaces import Display
from .pending_writes import PendingWrites
from .placement import Start, decide
from .prepare import PreparedRun, prepare
from .running_attempt import RunningAttempt
from .sweep_state import SweepState

WINDOW = 16
"""Runs prepared ahead, so that a free device finds its next run ready."""
FILES = 16
"""Files that must be free before a run is prepared or started: it takes three for as long as it lives, and the others
leave room for reading how it goes and how it ended."""


class Starter:
    def __init__(
        self, state: SweepState, strategy: Strategy, histories: Mapping[str, RunHistory], journal: Journal,
        executor: Executor, display: Display, pending_writes: PendingWrites, clock: Callable[[], float],
        now: Callable[[], float], masker: Masker,
    ) -> None:  # fmt: skip
        """As in `Loop`."""
        self.state, self.context, self.strategy, self.histories = state, state.context, strategy, histories
        self.journal, self.executor, self.display, self.pending_writes = journal, executor, display, pending_writes
        self.clock, self.now, self.masker = clock, now, masker
        self.prepared: deque[PreparedRun] = deque()
        self.recheck = False
        """A run waits for something that no event tells."""
        self.said_too_many_files = False

    def start_what_may(self) -> None:
        self.recheck = False
        self._prepare(max(1, self.context.slots))
        if self.state.starts_no_more or not self.prepared:
            self.pending_writes.waiting = {}
        elif self.state.slots_used < self.context.slots:
            self._place()
            self._prepare(WINDOW)

    def prepare_again(self, run: Run) -> bool:
        """Put a run that has ended back to the front; False when it cannot be prepared, which counts as a failure."""
        if (prepared := self._prepare_one(run)) is not None:
            self.prepared.appendleft(prepared)
        return prepared is not None

    # preparing

    def _prepare(self, count: int) -> None:
        """Have the next `count` runs ready: before a start as many as there are slots, after it the whole window. One
        that cannot be prepared has failed, like one that could not be started."""
        if len(self.prepared) >= count or self.state.starts_no_more or not self._may_open_files():
            return
        while len(self.prepared) < count and not self.state.starts_no_more:
            run = self.strategy.propose(self.histories)
            if run is None:
                return
            if run.key not in self.state.elsewhere and (prepared := self._prepare_one(run)) is not None:
                self.prepared.append(prepared)

    def _prepare_one(self, run: Run) -> PreparedRun | None:
        try:
            return prepare(run, self.journal, self.context)
        except (UserError, RunError, OSError) as error:
            self.state.failed += 1
            self.pending_writes.could_not_start(self.journal.begin(record_of(run), (), self.now()), run, str(error))
            return None

    def _may_open_files(self) -> bool:
        """Whether a run can be prepared and started; else it waits until another has ended, for that is no failure of
        it. Where none runs, `OSError`: nothing would ever change."""
        if can_open(FILES):
            return True
        # A run that is proposed here is lost with the sweep, which ends: the next start proposes it again.
        if not self.state.slots_used and (self.prepared or self.strategy.propose(self.histories)):
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        self.recheck = True
        if not self.said_too_many_files:
            self.said_too_many_files = True
            self.display.say("too many files are open: runs wait until others have ended (ulimit -n 4096 allows more)")
        return False

    # starting

    def _place(self) -> None:
        """Start what may start. Each time that another sweep is quicker with a device, there is one less to try."""
        for _ in range(len(self.context.devices) + 1):
            if self._start_decided():
                return
        self.recheck = True

    def _start_decided(self) -> bool:
        """False: another sweep has reserved a device since we looked, so it must be decided again."""
        requests = [prepared.request() for prepared in self.prepared]
        held = [attempt.held() for attempt in self.state.unreleased()]
        devices = self.executor.capacity() if any(request.gpus for request in requests) else []
        labels = {device.id: device.label for device in devices or ()}
        by_key = {prepared.run.key: prepared for prepared in self.prepared}
        told = self.pending_writes.waiting
        waiting: dict[str, str] = {}
        for decision in decide(requests, held, devices, self.context):
            prepared = by_key[decision.key]
            if isinstance(decision, Start):
                if not self._may_open_files():
                    break
                if not self.executor.reserve(decision.devices, prepared.folder):
                    self.pending_writes.waiting = told | waiting
                    return False
                self.prepared.remove(prepared)
                self._start(prepared, decision.devices, ", ".join(labels.get(each, each) for each in decision.devices))
                if self.state.starts_no_more:
                    break
            else:
                self.recheck |= decision.recheck
                waiting[decision.key] = decision.why
                if told.get(decision.key) != decision.why:
                    self.display.waits(prepared.run, decision.why)
        self.pending_writes.waiting = {} if self.state.starts_no_more else waiting
        return True

    def _start(self, prepared: PreparedRun, devices: tuple[str, ...], labels: str) -> None:
        run, record, launch, folder = prepared.run, prepared.record, prepared.launch, prepared.folder
        began = self.now()
        attempt = self.journal.begin(record, devices, began, prepared.inside_sweep)
        filling = tuple(cache.path for cache in launch.caches if latents_cache.is_to_fill(cache))
        try:
            argv, env = self.masker.value(launch.argv), self.masker.value(launch.env)
            write_attempt(folder, launch._replace(argv=argv, env=env), record, devices, began)
            for cache in launch.caches:
                latents_cache.link(cache)
            handle = self.executor.start(launch, folder, devices)
        except (UserError, RunError, OSError) as error:
            self.executor.release(devices)
            self.state.failed += 1
            reason = str(error) if isinstance(error, RunError) else f"could not be started: {error}"
            self.pending_writes.could_not_start(attempt, run, reason)
            return
        # Of a resumed run, how far earlier attempts came.
        progress = self.histories[run.key].progress if launch.resume else Progress()
        started = RunningAttempt(
            attempt, record, folder, prepared.trainer, handle, self.clock(), launch.keep, progress, run, labels, filling
        )
        if (queue := self.executor.waiting()) is not None:
            started.in_queue, started.device_labels = queue.get(handle, ""), self.executor.describe(handle)
        self.state.active.append(started)
        self.pending_writes.starts.append(started)
