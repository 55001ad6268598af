"""The loop: start what may start, wait for something to happen, write it down.

Covers: the order of things; the window of prepared runs; a person's Ctrl-C in two steps; adoption after a restart;
another try for what failed and passes by itself.
Not: who may start (`placement`), how (`executors/*`), what an exit code means (`trainers/*`), how it is shown (`live`).
Everything that it needs of the world is handed to it, so that tests drive it through whole histories without a process.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import inf

from ..errors import RunError, UserError
from ..executors.protocol import Executor
from ..records import Attempt, Device, Outcome, Run
from ..store.journal import Journal
from ..store.launch import write_attempt
from ..store.layout import is_filled, mark_filled
from ..sweep.record import record_of
from ..trainers import failure_causes
from .device_release import DeviceRelease
from .placement import Start, decide
from .prepare import Display, Job, Ready, prepare, retries
from .running_attempt import DIVERGED, RunningAttempt

WINDOW = 16
"""Runs prepared ahead, so that a free device finds its next run ready."""
GRACE = 10.0
"""Seconds between SIGTERM and SIGKILL, one deadline for all."""
LOOK_AGAIN = 1.0
"""Seconds until other programs' memory and shared caches are looked at again: nothing tells of them."""


@dataclass
class Loop:
    """The state of one sweep while it is worked on. `run()` returns when nothing runs and nothing may start."""

    job: Job
    journal: Journal
    executor: Executor
    display: Display
    devices: Callable[[], list[Device]]
    clock: Callable[[], float]
    """Monotonic seconds: durations and deadlines."""
    now: Callable[[], float]
    """Unix seconds: what is written down."""
    active: list[RunningAttempt] = field(default_factory=list)
    releasing: DeviceRelease = field(init=False)
    ready: deque[Ready] = field(default_factory=deque)
    failed: int = 0
    done: int = 0
    asked: int = 0
    """How often a person asked to stop: 1 finishes what runs, 2 ends it."""
    kill_at: float | None = None
    told_wait: dict[str, str] = field(default_factory=dict)
    """Run key -> why it waits, as last told."""
    chores: list[Callable[[], None]] = field(default_factory=list)
    news: bool = False
    """A checkpoint was saved, or a run has ended."""
    wake_on: Callable[[], list[int]] = list
    """Descriptors that end the wait."""
    beside: Callable[[bool], None] = lambda news: None
    """Called each turn, after everything is written down: the sampler's process is told of news and listened to."""
    tried: dict[str, int] = field(default_factory=dict)
    """Run key -> how often it was tried again."""

    def __post_init__(self) -> None:
        self.releasing = DeviceRelease(self.executor, self.clock, self.display.say)

    def run(self) -> None:
        while True:
            looked = self._start_what_may()
            self._do_chores()
            if not self.active and not self.releasing.awaited and (self.halted or not self.ready):
                break
            for handle in self.executor.wait(self._patience(looked), self.wake_on()):
                self._end(handle)
            self.releasing.update()
            self._enforce()

    def take_over(self, left_behind: list[RunningAttempt]) -> None:
        """Before `run`: adopt what an earlier orchestrator started and still runs; write down how the others ended.
        Their failures do not stop this sweep: that they are tried again is why it was started again."""
        for active in left_behind:
            if active.handle:
                self.active.append(active)
                process = self.executor.describe(active.handle)
                self.display.say(f"{active.label} {active.name}: still runs ({process}), adopted")
                continue
            self._look(active)
            active.outcome = active.judge()
            last = active.progress.at
            self._write_down(active, max(0.0, last - active.progress.since) if last and active.progress.since else 0.0)

    @property
    def halted(self) -> bool:
        return self.asked > 0 or (self.failed > 0 and self.job.stop_on_failure)

    # starting

    def _start_what_may(self) -> bool:
        """Start runs; True when a waiting run waits for something that no event tells."""
        self._prepare(max(1, self.job.policy.slots))
        if self.halted or not self.ready:
            self._tell_wait({})
            return False
        policy = self.job.policy
        held = [active.held() for active in (*self.active, *self.releasing.attempts)]
        if len(self.active) + len(self.releasing.awaited) >= policy.slots:
            return False
        wants = [ready.want for ready in self.ready]
        devices = self.devices() if policy.devices or any(want.gpus for want in wants) else []
        watch = False
        why: dict[str, str] = {}
        for decision in decide(wants, held, devices, policy):
            ready = next(each for each in self.ready if each.want.key == decision.key)
            if isinstance(decision, Start):
                self.ready.remove(ready)
                labels = {device.id: device.label for device in devices}
                self._start(ready, decision.devices, ", ".join(labels.get(each, each) for each in decision.devices))
                if self.halted:
                    break
            else:
                watch = watch or decision.watch or bool(ready.want.fills)
                why[ready.run.key] = decision.why
                if self.told_wait.get(ready.run.key) != decision.why:
                    self.display.waits(ready.run, decision.why)
        self._tell_wait(why)
        self._prepare(WINDOW)
        return watch

    def _prepare(self, count: int) -> None:
        """Have the next `count` runs ready. One that cannot be prepared has failed, like one that could not be
        started."""
        while len(self.ready) < count and not self.halted:
            run = self.job.strategy.propose(self.job.histories)
            if run is None:
                break
            self._make_ready(run, self.ready.append)

    def _make_ready(self, run: Run, put: Callable[[Ready], None]) -> None:
        try:
            put(prepare(self.job, self.journal, run))
        except (UserError, RunError, OSError) as error:
            self._could_not_start(run, str(error))

    def _start(self, ready: Ready, devices: tuple[str, ...], where: str) -> None:
        run, launch, folder = ready.run, ready.launch, ready.folder
        began = self.now()
        inside = f"{folder.path.parent.name}/{folder.path.name}"
        attempt = self.journal.begin(ready.record, devices, began, inside)
        try:
            write_attempt(folder, launch, ready.record, devices, began)
            handle = self.executor.start(launch, folder, devices)
        except (UserError, RunError, OSError) as error:
            self._record_failure(run, attempt, f"could not be started: {error}")
            return
        filling = tuple(cache for cache in launch.caches if not is_filled(cache))
        active = RunningAttempt(
            attempt, run.key, f"run {run.number}", run.name, folder, devices, handle, self.clock(),
            ready.trainer, dict(launch.keep), where, filling=filling,
            stop_on_nan=run.options["on_nan"].value != "ignore", run=run,
        )  # fmt: skip
        self.active.append(active)
        # Known to the journal already; the handle is written after the next runs have started.
        self.chores.append(lambda: self.journal.set_handle(attempt.id, handle))
        self.chores.append(lambda: self.display.started(active))

    def _could_not_start(self, run: Run, reason: str) -> None:
        attempt = self.journal.begin(record_of(run), (), self.now())
        self._record_failure(run, attempt, reason)

    def _record_failure(self, run: Run, attempt: Attempt, reason: str) -> None:
        self.failed += 1
        self.journal.end(attempt, Outcome("failed", None, reason), self.now(), {})
        self.display.say(f"run {run.number} {run.name}: failed: {reason}")

    def _tell_wait(self, why: dict[str, str]) -> None:
        """Write down why runs wait; nothing when it is as before."""
        if why != self.told_wait:
            self.told_wait = why
            self.chores.append(lambda: self.journal.note(waiting=why))

    # watching

    def _patience(self, looked: bool) -> float | None:
        """How long nothing needs us; None: until an attempt ends."""
        waits = [self.display.every]
        if self.releasing.awaited:
            waits.append(0.05)
        if looked:
            waits.append(LOOK_AGAIN)
        if self.kill_at is not None:
            waits.append(max(0.0, self.kill_at - self.clock()))
        return None if min(waits) == inf else min(waits)

    def _do_chores(self) -> None:
        """What need not be done before the next run starts: bookkeeping, copies, the display."""
        with self.journal.transaction():
            for active in self.active:
                self._look(active)
            while self.chores:
                self.chores.pop(0)()
        news, self.news = self.news, False
        self.beside(news)
        self.display.tick(self.active, self.devices, self._left())

    def _left(self) -> int:
        return max(0, self.job.total - self.done - self.failed - len(self.active))

    def _look(self, active: RunningAttempt) -> None:
        self.news |= active.look(self.journal, self.display.say)
        if active.diverged:
            reason = f"diverged: the loss was NaN {DIVERGED} logged steps in a row; lower the learning rate"
            active.ended_by_us = Outcome("failed", None, reason, "diverged")
            self._terminate(active)
        if active.progress.training_since is not None:
            self._filled(active)

    def _filled(self, active: RunningAttempt) -> None:
        if not active.filling:
            return
        for cache in active.filling:
            mark_filled(cache)
        active.filling = ()
        for ready in self.ready:
            ready.look_at_caches()

    # ending

    def _end(self, handle: str) -> None:
        active = next((each for each in self.active if each.handle == handle), None)
        if active is None:
            return
        self.active.remove(active)
        self._look(active)
        active.outcome = active.judge()
        if active.outcome.kind == "succeeded":
            self.done += 1
            self._filled(active)
        elif active.outcome.kind in ("failed", "lost") and not self._try_again(active):
            self.failed += 1
        active.filling = ()
        if self.releasing.add(active):
            self._terminate(active)
        seconds = self.clock() - active.began
        self.chores.append(lambda: self._write_down(active, seconds))

    def _write_down(self, active: RunningAttempt, seconds: float) -> None:
        outcome = active.outcome
        assert outcome is not None
        self.news = True
        facts = active.facts(seconds)
        if outcome.kind == "succeeded" and active.keep:
            try:
                facts["delivered"] = active.folder.deliver(active.keep)
            except OSError as error:
                # The training is whole and stays where it is: a full disk elsewhere must not run it again.
                self.display.say(f"{active.label}: trained, but not copied to target_path: {error}")
        self.journal.end(active.attempt, outcome, self.now(), facts)
        self.display.ended(active, outcome, seconds)

    def _try_again(self, active: RunningAttempt) -> bool:
        """Put a run that failed for what passes by itself back to the front; False when it has failed for good."""
        run, outcome = active.run, active.outcome
        if run is None or outcome is None or self.halted or not failure_causes.by_name(outcome.cause).passes_by_itself:
            return False
        tried, allowed = self.tried.get(run.key, 0) + 1, retries(run)
        if tried > allowed:
            return False
        self.tried[run.key] = tried
        active.outcome = replace(outcome, reason=f"{outcome.reason}; tried again ({tried} of {allowed})")
        self._make_ready(run, self.ready.appendleft)
        return True

    # a person's wish

    def ask(self, times: int) -> None:
        """Ctrl-C: 1 starts nothing more; 2 or more ends what runs (SIGTERM to the groups, SIGKILL after `GRACE`)."""
        self.asked = max(self.asked, times)

    def _terminate(self, active: RunningAttempt) -> None:
        if not active.handle:
            return  # it ended while no orchestrator lived
        self.executor.stop(active.handle, now=False)
        self.kill_at = min(self.kill_at or self.clock() + GRACE, self.clock() + GRACE)

    def _enforce(self) -> None:
        if self.asked >= 2:
            for active in self.active:
                if active.ended_by_us is None:
                    active.ended_by_us = Outcome("cancelled", None, "stopped by a person")
                    self._terminate(active)
        if self.kill_at is not None and self.clock() >= self.kill_at:
            for active in (*self.active, *self.releasing.attempts):
                if active.ended_by_us or active in self.releasing.attempts:
                    self.executor.stop(active.handle, now=True)
            self.kill_at = None
