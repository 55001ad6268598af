"""The loop of a sweep: start what may start, wait for something to happen, write it down.

Covers: the order of things, one turn after the other; the window of prepared runs; what a person's stop request means;
taking over what an earlier orchestrator started; another try for what failed and passes by itself.
Not: who may start (`placement`), how (`executors`), what an exit code means (`trainers`), when a run is ended early
(`stop_rules`). What it needs of the world is handed to it: tests drive it through whole histories without a process.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from math import inf

from ..config.masking import Masker
from ..errors import RunError, UserError
from ..executors.protocol import Executor
from ..machine.open_files import can_open
from ..records import Outcome, Run, SweepContext
from ..store.history import Progress, RunHistory
from ..store.journal import Journal
from ..store.launch import write_attempt
from ..sweep.record import record_of
from ..sweep.strategies import Strategy
from ..trainers import failure_causes
from . import latents_cache
from .adoption import LeftBehind
from .delivery import Delivery
from .device_release import DeviceRelease
from .interfaces import Display, Follower
from .pending_writes import PendingWrites
from .placement import Start, decide
from .prepare import PreparedRun, prepare, retries
from .running_attempt import STOPPED, RunningAttempt
from .signals import END_RUNNING, FINISH_RUNNING, StopSignals

WINDOW = 16
"""Runs prepared ahead, so that a free device finds its next run ready."""
GRACE_SECONDS = 10.0
"""Between the polite end and the one by force."""
RECHECK_SECONDS = 1.0
"""Until other programs' memory and shared caches are looked at again: nothing tells of them."""
COPY_SECONDS = 2.0
"""For which nothing is said about files that are still being copied when all is trained."""
RELEASE_CHECK_SECONDS = 0.05
"""Until what an ended attempt has left is looked at again."""
FILES = 16
"""Files that must be free before a run is prepared or started: it takes three for as long as it lives, and the others
leave room for reading how it goes and how it ended."""


class Loop:
    """The state of one sweep while its runs are trained."""

    def __init__(
        self, *, context: SweepContext, strategy: Strategy, histories: Mapping[str, RunHistory], total: int,
        journal: Journal, executor: Executor, display: Display, delivery: Delivery, stop: StopSignals,
        followers: Sequence[Follower], clock: Callable[[], float], now: Callable[[], float],
        masker: Masker = Masker(),  # noqa: B008  # it is frozen
    ) -> None:  # fmt: skip
        """`histories`: what the store knows of the runs that have begun, by which the strategy decides. `total`: runs
        that are to be done, as far as known. `followers`: processes of ours that are told of news (the sampler, the
        report). `clock`: monotonic seconds, for durations and deadlines; `now`: Unix seconds, which are written
        down."""
        self.context, self.strategy, self.histories, self.total = context, strategy, histories, total
        self.journal, self.executor, self.display, self.delivery = journal, executor, display, delivery
        self.stop, self.followers, self.clock, self.now, self.masker = stop, followers, clock, now, masker
        self.pending_writes = PendingWrites(journal, display, delivery, now, masker)
        self.release = DeviceRelease(executor, clock, display.say)
        self.prepared: deque[PreparedRun] = deque()
        self.active: list[RunningAttempt] = []
        self.done = self.failed = 0
        self.tries: dict[str, int] = {}
        """Run key -> how often it was tried again."""
        self.recheck = False
        """A run waits for something that no event tells."""
        self.elsewhere: set[str] = set()
        """Keys of runs that another machine trains."""
        self.said_too_many_files = False
        self.stop_level = 0
        """What a person has asked for, as far as it was heeded."""
        self.copying_since: float | None = None
        """Since when there are only files to be copied."""

    def run(self) -> None:
        """Until nothing runs, nothing may start, and what has succeeded is delivered."""
        while True:
            self.start_what_may()
            self._read_events()
            self._end_by_rules()
            news = self.pending_writes.write()
            for follower in self.followers:
                follower.update(news)
            self._draw()
            if self._is_over():
                return
            self._handle_ended(self.executor.wait(self._wait_seconds(), self._wake_on()))
            self._heed_stop_request()
            self._kill_those_who_stayed()

    def take_over(self, left: LeftBehind) -> None:
        """Before `run`: adopt what an earlier orchestrator started and still runs; write down how the others ended.
        Their failures do not stop this sweep: that they are tried again is why it was started again."""
        for attempt in left.adopted:
            self.active.append(attempt)
            process = self.executor.describe(attempt.handle)
            self.display.say(f"{attempt.label} {attempt.name}: still runs ({process}), adopted")
        for record, machine in left.elsewhere:
            self.elsewhere.add(record.key)
            self.display.say(
                f"run {record.number} {record.name}: runs on {machine}, where this machine cannot reach it: it is "
                f"neither adopted nor started again (end it there: automate-train stop DIR --now)"
            )
        for attempt in left.ended:
            self._read(attempt)
            attempt.seconds = attempt.seconds_told()
            outcome = attempt.judge(None)
            if outcome.kind == "succeeded":
                self.done += 1
                self._mark_caches_filled(attempt)
            self.pending_writes.ends.append((attempt, outcome))
        for attempt in left.occupying:
            self.release.add(attempt)
        self.pending_writes.write()

    @property
    def starts_no_more(self) -> bool:
        return self.stop.level > 0 or (self.failed > 0 and self.context.stop_on_failure)

    def _is_over(self) -> bool:
        if self.active or self.release.awaited or (self.prepared and not self.starts_no_more):
            return False
        if not self.delivery.pending or self.stop.level >= END_RUNNING:
            return True
        if self.copying_since is None:
            self.copying_since = self.clock()
        elif self.copying_since < self.clock() - COPY_SECONDS:
            self.copying_since = inf
            self.display.say("copying to target_path (after Ctrl-C twice the next start copies what is missing)")
        return False

    # starting

    def start_what_may(self) -> None:
        self.recheck = False
        self._prepare(max(1, self.context.slots))
        if self.starts_no_more or not self.prepared:
            self.pending_writes.waits = {}
        elif len(self.active) + len(self.release.awaited) < self.context.slots:
            self._place()
            self._prepare(WINDOW)

    def _place(self) -> None:
        """Start what may start. Each time that another sweep is quicker with a device, there is one less to try."""
        for _ in range(len(self.context.devices) + 1):
            if self._start_decided():
                return
        self.recheck = True

    def _start_decided(self) -> bool:
        """False: another sweep has reserved a device since we looked, so it must be decided again."""
        requests = [prepared.request() for prepared in self.prepared]
        held = [attempt.held() for attempt in self._unreleased()]
        devices = self.executor.capacity() if any(request.gpus for request in requests) else []
        labels = {device.id: device.label for device in devices or ()}
        by_key = {prepared.run.key: prepared for prepared in self.prepared}
        waits: dict[str, str] = {}
        for decision in decide(requests, held, devices, self.context):
            prepared = by_key[decision.key]
            if isinstance(decision, Start):
                if not self._may_open_files():
                    break
                if not self.executor.reserve(decision.devices, prepared.folder):
                    self.pending_writes.waits = self.pending_writes.waits | waits
                    return False
                self.prepared.remove(prepared)
                self._start(prepared, decision.devices, ", ".join(labels.get(each, each) for each in decision.devices))
                if self.starts_no_more:
                    break
            else:
                self.recheck |= decision.recheck
                waits[decision.key] = decision.why
                if self.pending_writes.waits.get(decision.key) != decision.why:
                    self.display.waits(prepared.run, decision.why)
        self.pending_writes.waits = {} if self.starts_no_more else waits
        return True

    def _prepare(self, count: int) -> None:
        """Have the next `count` runs ready: before a start as many as there are slots, after it the whole window. One
        that cannot be prepared has failed, like one that could not be started."""
        if len(self.prepared) >= count or self.starts_no_more or not self._may_open_files():
            return
        while len(self.prepared) < count and not self.starts_no_more:
            run = self.strategy.propose(self.histories)
            if run is None:
                return
            if run.key not in self.elsewhere and (prepared := self._prepare_one(run)) is not None:
                self.prepared.append(prepared)

    def _may_open_files(self) -> bool:
        """Whether a run can be prepared and started; else it waits until another has ended, for that is no failure of
        it. Where none runs, `OSError`: nothing would ever change."""
        if can_open(FILES):
            return True
        if not self.active and not self.release.awaited and (self.prepared or self.strategy.propose(self.histories)):
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        self.recheck = True
        if not self.said_too_many_files:
            self.said_too_many_files = True
            self.display.say("too many files are open: runs wait until others have ended (ulimit -n 4096 allows more)")
        return False

    def _prepare_one(self, run: Run) -> PreparedRun | None:
        try:
            return prepare(run, self.journal, self.context)
        except (UserError, RunError, OSError) as error:
            self.failed += 1
            self.pending_writes.could_not_start(self.journal.begin(record_of(run), (), self.now()), run, str(error))
            return None

    def _start(self, prepared: PreparedRun, devices: tuple[str, ...], labels: str) -> None:
        run, record, launch, folder = prepared.run, prepared.record, prepared.launch, prepared.folder
        began = self.now()
        attempt = self.journal.begin(record, devices, began, prepared.inside_sweep)
        filling = tuple(cache.path for cache in launch.caches if not latents_cache.is_filled(cache.path))
        try:
            argv, env = self.masker.value(launch.argv), self.masker.value(launch.env)
            write_attempt(folder, launch._replace(argv=argv, env=env), record, devices, began)
            for cache in launch.caches:
                latents_cache.link(cache)
            handle = self.executor.start(launch, folder, devices)
        except (UserError, RunError, OSError) as error:
            self.executor.release(devices)
            self.failed += 1
            reason = str(error) if isinstance(error, RunError) else f"could not be started: {error}"
            self.pending_writes.could_not_start(attempt, run, reason)
            return
        # Of a resumed run, how far earlier attempts came.
        progress = self.histories[run.key].progress if launch.resume else Progress()
        started = RunningAttempt(
            attempt, record, folder, prepared.trainer, handle, self.clock(), launch.keep, progress, run, labels, filling
        )
        self.active.append(started)
        self.pending_writes.starts.append(started)

    # while they run

    def _read_events(self) -> None:
        for attempt in self.active:
            self._read(attempt)
            if attempt.progress.training_since is not None:
                self._mark_caches_filled(attempt)

    def _end_by_rules(self) -> None:
        for attempt in self.active:
            if outcome := attempt.outcome_by_rules():
                attempt.ended_by_us = outcome
                self._end(attempt)

    def _read(self, attempt: RunningAttempt) -> None:
        trouble, waits = attempt.progress.trouble, attempt.progress.waits
        self.pending_writes.checkpoints += [(attempt.attempt, checkpoint) for checkpoint in attempt.read()]
        if attempt.progress.trouble != trouble:
            self.display.say(f"{attempt.label}: hook: {attempt.progress.trouble}")
        if attempt.progress.waits not in ("", waits):
            self.display.say(f"{attempt.label}: {attempt.progress.waits}; Ctrl-C ends the wait")
        if attempt.progress.waits and self.stop.level:
            attempt.wait_no_more()

    def _mark_caches_filled(self, attempt: RunningAttempt) -> None:
        for cache in attempt.filling:
            with contextlib.suppress(OSError):  # a full disk, or it was deleted: the next run fills it again
                latents_cache.mark_filled(cache)
        attempt.filling = ()

    def _draw(self) -> None:
        if self.display.due(self.active):
            left = max(0, self.total - self.done - self.failed - len(self.active))
            devices = [] if self.context.cpu else self.executor.capacity()
            self.display.draw(self.active, devices or [], left)

    # waiting

    def _wait_seconds(self) -> float | None:
        """How long nothing needs us; None: until something happens."""
        waits = [self.display.every]
        if self.release.awaited:
            waits.append(RELEASE_CHECK_SECONDS)
        if self.recheck:
            waits.append(RECHECK_SECONDS)
        waits += [max(0.0, each.kill_at - self.clock()) for each in self._unreleased() if each.kill_at is not None]
        return None if min(waits) == inf else min(waits)

    def _wake_on(self) -> list[int]:
        followers = (fd for follower in self.followers for fd in follower.wake_on)
        return [*self.stop.wake_on, *self.delivery.wake_on, *followers]

    # ending

    def _handle_ended(self, ended_now: Mapping[str, int | None]) -> None:
        """Attempts that have ended: what they were, and whether their devices are free."""
        for ended in [each for each in self.active if each.handle in ended_now]:
            self.active.remove(ended)
            self._read(ended)
            ended.seconds = self.clock() - ended.began
            outcome = ended.judge(ended_now[ended.handle])
            if outcome.kind == "succeeded":
                self.done += 1
                self._mark_caches_filled(ended)
            elif outcome.kind in ("failed", "lost"):
                again = self._try_again(ended.run, outcome)
                self.failed += again is None
                outcome = again or outcome
            ended.filling = ()
            self.pending_writes.ends.append((ended, outcome))
            if self.release.add(ended):  # something of it lives on: its group is asked to end
                self._end(ended)
        self.release.update()

    def _try_again(self, run: Run | None, outcome: Outcome) -> Outcome | None:
        """Put a run that failed for what passes by itself back to the front, and say so in its outcome; None when it
        has failed for good, as an adopted one has (`run` is None)."""
        if run is None or self.starts_no_more or not failure_causes.by_name(outcome.cause).passes_by_itself:
            return None
        tries, allowed = self.tries.get(run.key, 0) + 1, retries(run)
        if tries > allowed:
            return None
        self.tries[run.key] = tries
        if (prepared := self._prepare_one(run)) is None:  # which counts as the failure
            return outcome._replace(reason=f"{outcome.reason}; it could not be prepared for another try")
        self.prepared.appendleft(prepared)
        return outcome._replace(reason=f"{outcome.reason}; tried again ({tries} of {allowed})")

    def _heed_stop_request(self) -> None:
        """Level 1 starts nothing more (`starts_no_more`); level 2 ends what runs."""
        self.stop.drain()
        if self.stop.level == self.stop_level:
            return
        self.stop_level = self.stop.level
        if self.stop_level == FINISH_RUNNING:
            self.display.say("stopping: what runs may finish, nothing more starts; Ctrl-C again ends it now")
            return
        self.display.say("ending what runs (after 10 s it is killed)")
        for attempt in self.active:
            if attempt.ended_by_us is None:
                attempt.ended_by_us = STOPPED
                self._end(attempt)

    def _end(self, attempt: RunningAttempt) -> None:
        """Ask it to end, or what it has left when it has ended."""
        self.executor.stop(attempt.handle, now=False)
        attempt.kill_at = self.clock() + GRACE_SECONDS

    def _kill_those_who_stayed(self) -> None:
        for attempt in self._unreleased():
            if attempt.kill_at is not None and self.clock() >= attempt.kill_at:
                attempt.kill_at = None
                self.executor.stop(attempt.handle, now=True)

    def _unreleased(self) -> Sequence[RunningAttempt]:
        """Those of which something may live."""
        return (*self.active, *self.release.attempts)
