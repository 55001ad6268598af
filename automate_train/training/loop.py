"""The loop of a sweep: start what may start, wait for something to happen, write it down.

Covers: the order of things, one turn after the other; what a person's stop request means; taking over what an earlier
orchestrator started; another try for what failed and passes by itself. Not: preparing and starting runs (`starting`),
what an exit code means (`trainers`), when a run is ended early (`stop_rules`). What it needs of the world is handed to
it: tests drive it through whole histories without a process.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from math import inf

from ..config.masking import Masker
from ..executors.protocol import Executor
from ..records import Outcome, Run, SweepContext
from ..store.history import RunHistory
from ..store.journal import Journal
from ..store.launch import read_launch, read_resume
from ..store.layout import AttemptFolder
from ..store.progress import Progress
from ..sweep.strategies import Strategy
from ..trainers import failure_causes
from . import latents_cache
from .adoption import LeftBehind
from .delivery import Delivery
from .device_release import DeviceRelease
from .interfaces import Display, Follower
from .pending_writes import PendingWrites
from .prepare import retries
from .running_attempt import STOPPED, RunningAttempt
from .signals import END_RUNNING, FINISH_RUNNING, StopSignals
from .starting import Starter
from .sweep_state import SweepState

GRACE_SECONDS = 10.0
"""Between the polite end and the one by force."""
RECHECK_SECONDS = 1.0
"""Until other programs' memory and shared caches are looked at again: nothing tells of them."""
COPY_SECONDS = 2.0
"""For which nothing is said about files that are still being copied when all is trained."""
RELEASE_CHECK_SECONDS = 0.05
"""Until what an ended attempt has left is looked at again."""


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
        self.context, self.total, self.journal, self.executor = context, total, journal, executor
        self.display, self.delivery, self.stop, self.followers, self.clock = display, delivery, stop, followers, clock
        self.pending_writes = PendingWrites(journal, display, delivery, now, masker)
        self.release = DeviceRelease(executor, clock, display.say)
        self.state = SweepState(context, stop, self.release)
        self.starter = Starter(
            self.state, strategy, histories, journal, executor, display, self.pending_writes, clock, now, masker
        )
        self.tries: dict[str, int] = {}
        """Run key -> how often it was tried again."""
        self.stop_level = 0
        """What a person has asked for, as far as it was heeded."""
        self.copying_since: float | None = None
        """Since when there are only files to be copied."""

    def run(self) -> None:
        """Until nothing runs, nothing may start, and what has succeeded is delivered."""
        while True:
            self._note_queue()
            self.starter.start_what_may()
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
            self._withdraw_queued()
            self._kill_those_who_stayed()

    def take_over(self, left: LeftBehind) -> None:
        """Before `run`: adopt what an earlier orchestrator started and still runs; write down how the others ended.
        Their failures do not stop this sweep: that they are tried again is why it was started again."""
        for attempt in left.adopted:
            self.state.active.append(attempt)
            process = self.executor.describe(attempt.handle)
            self.display.say(f"{attempt.label} {attempt.name}: still runs ({process}), adopted")
        for record, machine in left.elsewhere:
            self.state.elsewhere.add(record.key)
            self.display.say(
                f"run {record.number} {record.name}: runs on {machine}, where this machine cannot reach it: it is "
                f"neither adopted nor started again (end it there: automate-train stop DIR --now)"
            )
        for attempt in left.ended:
            self._read(attempt)
            attempt.seconds = attempt.seconds_told()
            outcome = attempt.judge(None)
            if outcome.kind == "succeeded":
                self.state.done += 1
                self._mark_caches_filled(attempt)
            self.pending_writes.ends.append((attempt, outcome))
        for attempt in left.occupying:
            self.release.add(attempt)
        self.pending_writes.write()

    def _is_over(self) -> bool:
        if self.state.active or self.release.awaited or (self.starter.prepared and not self.state.starts_no_more):
            return False
        if not self.delivery.pending or self.stop.level >= END_RUNNING:
            return True
        if self.copying_since is None:
            self.copying_since = self.clock()
        elif self.copying_since < self.clock() - COPY_SECONDS:
            self.copying_since = inf
            self.display.say("copying to target_path (after Ctrl-C twice the next start copies what is missing)")
        return False

    # while they run

    def _read_events(self) -> None:
        for attempt in self.state.active:
            self._read(attempt)
            if attempt.progress.training_since is not None:
                self._mark_caches_filled(attempt)

    def _end_by_rules(self) -> None:
        for attempt in self.state.active:
            if outcome := attempt.outcome_by_rules():
                attempt.ended_by_us = outcome
                self._end(attempt)

    def _read(self, attempt: RunningAttempt) -> None:
        trouble, sample_wait = attempt.progress.trouble, attempt.progress.sample_wait
        self.pending_writes.checkpoints += [(attempt.attempt, checkpoint) for checkpoint in attempt.read()]
        if attempt.progress.trouble != trouble:
            self.display.say(f"{attempt.label}: hook: {attempt.progress.trouble}")
        if attempt.progress.sample_wait not in ("", sample_wait):
            self.display.say(f"{attempt.label}: {attempt.progress.sample_wait}; Ctrl-C ends the wait")
        if attempt.progress.sample_wait and self.stop.level:
            attempt.wait_no_more()

    def _mark_caches_filled(self, attempt: RunningAttempt) -> None:
        for cache in attempt.filling:
            with contextlib.suppress(OSError):  # a full disk, or it was deleted: the next run fills it again
                latents_cache.mark_filled(cache)
        attempt.filling = ()

    def _draw(self) -> None:
        if self.display.due(self.state.active):
            left = max(0, self.total - self.state.done - self.state.failed - len(self.state.active))
            devices = [] if self.context.cpu else self.executor.capacity()
            self.display.draw(self.state.active, devices or [], left)

    # waiting

    def _note_queue(self) -> None:
        """Which attempts the engine behind the executor has not begun, and why."""
        queue = self.executor.waiting()
        if queue is None:
            return
        for attempt in self.state.active:
            why = queue.get(attempt.handle, "")
            if attempt.in_queue and not why and attempt.progress.since is None and attempt.ended_by_us is None:
                attempt.began = self.clock()
                self.display.say(f"{attempt.label} {attempt.name}: begins ({self.executor.describe(attempt.handle)})")
            attempt.in_queue = why
        self.pending_writes.queued = {each.record.key: each.in_queue for each in self.state.active if each.in_queue}

    def _withdraw_queued(self) -> None:
        """When nothing more starts, that holds for what an engine has not begun, too."""
        if self.state.starts_no_more:
            for attempt in self.state.active:
                if attempt.in_queue and not attempt.withdrawn:
                    attempt.withdrawn = True
                    self.executor.withdraw(attempt.handle)

    def _wait_seconds(self) -> float | None:
        """How long nothing needs us; None: until something happens."""
        seconds = [self.display.every]
        if self.release.awaited:
            seconds.append(RELEASE_CHECK_SECONDS)
        if self.starter.recheck:
            seconds.append(RECHECK_SECONDS)
        kills = [each.kill_at for each in self.state.unreleased() if each.kill_at is not None]
        seconds += [max(0.0, kill_at - self.clock()) for kill_at in kills]
        return None if min(seconds) == inf else min(seconds)

    def _wake_on(self) -> list[int]:
        followers = (fd for follower in self.followers for fd in follower.wake_on)
        return [*self.stop.wake_on, *self.delivery.wake_on, *followers]

    # ending

    def _handle_ended(self, ended_now: Mapping[str, int | None]) -> None:
        """Attempts that have ended: what they were, and whether their devices are free."""
        for ended in [each for each in self.state.active if each.handle in ended_now]:
            self.state.active.remove(ended)
            self._read(ended)
            ended.seconds = ended.seconds_until(self.clock(), self.pending_writes.now())
            outcome = ended.judge(ended_now[ended.handle])
            if went_on := self.executor.went_on(ended.handle):
                ended.seconds = ended.seconds_told()
            if went_on and outcome.kind != "succeeded":
                outcome = outcome._replace(reason=f"{outcome.reason}; it goes on as {went_on[0].path.name}")
                self._follow(ended, *went_on)
            elif outcome.kind == "succeeded":
                self.state.done += 1
                self._mark_caches_filled(ended)
            elif outcome.kind in ("failed", "lost"):
                again = self._try_again(ended.run, outcome)
                self.state.failed += again is None
                outcome = again or outcome
            ended.filling = ()
            self.pending_writes.ends.append((ended, outcome))
            if self.release.add(ended):  # something of it lives on: its group is asked to end
                self._end(ended)
        self.release.update()

    def _follow(self, ended: RunningAttempt, folder: AttemptFolder, handle: str) -> None:
        """Take over the attempt in which the engine behind the executor has gone on by itself."""
        launch, inside = read_launch(folder), f"{folder.path.parent.name}/{folder.path.name}"
        attempt = self.journal.restore(ended.record, launch.devices, launch.began, inside)
        progress = Progress.from_resume(read_resume(folder))
        following = RunningAttempt(
            attempt, ended.record, folder, ended.trainer, handle, self.clock(), launch.keep, progress, ended.run,
            self.executor.describe(handle),
        )  # fmt: skip
        following.in_queue = ""
        self.state.active.append(following)
        self.pending_writes.starts.append(following)

    def _try_again(self, run: Run | None, outcome: Outcome) -> Outcome | None:
        """Put a run that failed for what passes by itself back to the front, and say so in its outcome; None when it
        has failed for good, as an adopted one has (`run` is None)."""
        if run is None or self.state.starts_no_more or not failure_causes.by_name(outcome.cause).passes_by_itself:
            return None
        tries, allowed = self.tries.get(run.key, 0) + 1, retries(run)
        if tries > allowed:
            return None
        self.tries[run.key] = tries
        if not self.starter.prepare_again(run):
            return outcome._replace(reason=f"{outcome.reason}; it could not be prepared for another try")
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
        for attempt in self.state.active:
            if attempt.ended_by_us is None:
                attempt.ended_by_us = STOPPED
                self._end(attempt)

    def _end(self, attempt: RunningAttempt) -> None:
        """Ask it to end, or what it has left when it has ended."""
        self.executor.stop(attempt.handle, now=False)
        attempt.kill_at = self.clock() + GRACE_SECONDS

    def _kill_those_who_stayed(self) -> None:
        for attempt in self.state.unreleased():
            if attempt.kill_at is not None and self.clock() >= attempt.kill_at:
                attempt.kill_at = None
                self.executor.stop(attempt.handle, now=True)
