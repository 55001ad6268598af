"""A started attempt and what has been seen of it.

Covers: reading what its trainer tells (progress, checkpoints, trouble), how its end is judged, what the store keeps of
it. Not: when to read, and what follows from it for other runs (`loop`), when a run is ended early (`stop_rules`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

from ..errors import UserError
from ..machine.processes import kernel_oom_kills
from ..records import Attempt, Checkpoint, Outcome, Run, RunRecord
from ..store.events import checkpoint_of
from ..store.layout import AttemptFolder
from ..store.progress import Progress, after
from ..trainers import Trainer, failure_causes, job_causes
from .placement import Held
from .stop_rules import outcome_by_rules

STOPPED = Outcome("cancelled", None, "stopped by a person")
WITHDRAWN = Outcome("cancelled", None, "taken out of the queue: the sweep starts nothing more")


class RunningAttempt:
    def __init__(
        self,
        attempt: Attempt,
        record: RunRecord,
        folder: AttemptFolder,
        trainer: Trainer,
        handle: str,
        began: float,
        keep: Mapping[str, str] | None,
        progress: Progress,
        run: Run | None = None,
        device_labels: str = "",
        filling: tuple[str, ...] = (),
    ) -> None:
        """`handle`: what the executor calls it; "" when it had ended before we came. `began`: monotonic seconds.
        `keep`: as in its `Launch`; None where launch.json cannot be read. `run`: None where it was adopted (an earlier
        orchestrator started it): when it fails it is not tried again by this session, for the run may have other
        options by now. `device_labels`: its devices as people call them: `GPU 0, GPU 1`. `filling`: paths of the
        shared caches that it fills."""
        self.attempt, self.record, self.folder, self.trainer = attempt, record, folder, trainer
        self.handle, self.began, self.keep, self.progress = handle, began, keep, progress
        self.run, self.device_labels, self.filling = run, device_labels, filling
        self.cursor = 0
        """How far its events have been read."""
        self.oom_kills = kernel_oom_kills()
        """The kernel's count when we first saw it."""
        self.ended_by_us: Outcome | None = None
        """Why we asked it to end, as the outcome that it then has."""
        self.kill_at: float | None = None
        """Monotonic seconds until which it has time to end; None: nobody has asked it to."""
        self.in_queue: str | None = None
        """Why the engine behind the executor has not begun it, in the engine's words; "" once it has. None: there is no
        queue."""
        self.withdrawn = False
        """We have asked the engine not to begin it."""
        self.seconds = 0.0
        """How long it took, once it has ended."""
        self.release_by = 0.0
        """Monotonic seconds at which it has had time enough to release its devices."""
        self.occupied = ""
        """Who still holds its devices after that: `pid 1234 of run 3, which has ended`."""

    @property
    def id(self) -> int:
        return self.attempt.id

    @property
    def number(self) -> int:
        return self.attempt.number

    @property
    def label(self) -> str:
        return f"run {self.record.number}"

    @property
    def name(self) -> str:
        return self.record.name

    @property
    def devices(self) -> tuple[str, ...]:
        return self.attempt.devices

    @property
    def takes_slot(self) -> bool:
        """Whether it counts against the runs at a time: with a queue, those that wait in it do."""
        return self.in_queue != ""

    def held(self) -> Held:
        return Held(self.label, frozenset(self.devices), frozenset(self.filling), self.occupied, self.takes_slot)

    def read(self) -> list[Checkpoint]:
        """Take in what its trainer has told since the last time; the checkpoints among it."""
        saved = []
        events, self.cursor = self.trainer.events(self.folder, self.cursor)
        for event in events:
            self.progress = after(self.progress, event)
            if checkpoint := checkpoint_of(event, self.attempt.number):
                saved.append(checkpoint)
        return saved

    def seconds_until(self, clock: float, now: float) -> float:
        """How long it took, asked at these monotonic and Unix seconds: what passed since it wrote its exit code (we
        were busy, the journal locked) was none of it."""
        ended, elapsed = self.folder.ended_at(), max(0.0, clock - self.began)
        return elapsed if ended is None else elapsed - min(elapsed, max(0.0, now - ended))

    def seconds_told(self) -> float:
        """How long it took when nobody was there as it ended: by its exit code, else by its events."""
        since, until = self.progress.since, self.progress.at
        if (ended := self.folder.ended_at()) is not None:
            return max(0.0, ended - (self.folder.begun_at() or self.attempt.started))
        return max(0.0, until - since) if since and until else 0.0

    def wait_no_more(self) -> None:
        """Its training goes on without the samples that it waits for."""
        with contextlib.suppress(OSError):
            self.folder.samples.mkdir(parents=True, exist_ok=True)
            self.folder.go_on.touch()

    def outcome_by_rules(self) -> Outcome | None:
        """The outcome that a stop rule gives it now; None: it goes on, or was asked to end already."""
        return None if self.ended_by_us else outcome_by_rules(self.progress, self.record.options)

    def judge(self, told: int | None) -> Outcome:
        """How it ended: a stop rule, else what its trainer says of its exit code, unless a person has stopped it before
        it succeeded. `told`: the exit code that the executor knows, where the folder has none."""
        by_us = self.ended_by_us or self.outcome_by_rules()
        if by_us and by_us.kind == "failed":
            return by_us
        outcome = self._verdict(told)
        if self.withdrawn and outcome.exit_code is None and outcome.kind == "lost":
            return WITHDRAWN
        return by_us if by_us and outcome.kind != "succeeded" else outcome

    def _verdict(self, told: int | None) -> Outcome:
        code = self.folder.read_exit_code()
        if code is None and told is not None:
            outcome = self._verdict_of(told)
            unwritten = "its exit code could not be written: the disk is full or broken"
            return outcome if outcome.kind == "succeeded" else outcome._replace(reason=f"{outcome.reason}; {unwritten}")
        if code is None:
            return failure_causes.lost(self.folder.tail(200))
        return self._verdict_of(code)

    def _verdict_of(self, code: int) -> Outcome:
        try:
            outcome = self.trainer.verdict(self.folder, code)
        except (OSError, UserError) as error:
            return Outcome("failed", code, f"its result cannot be read: {error}")
        if outcome.kind == "failed" and code == 0 and (found := job_causes.find(self.folder.tail(200))):
            return outcome._replace(reason=found[1], cause=found[0].name)
        if outcome.cause == failure_causes.KILLED.name and kernel_oom_kills() > self.oom_kills:
            return outcome._replace(reason=failure_causes.KERNEL.text(), cause=failure_causes.KERNEL.name)
        return outcome

    def metrics(self) -> dict[str, object]:
        """What the store keeps of it."""
        progress = self.progress
        return {
            "loss": progress.loss,
            "epoch_loss": progress.epoch_loss,
            "epoch_loss_step": progress.epoch_loss_step,
            "epoch_nan_steps": progress.epoch_nan_steps,
            "steps": progress.step,
            "seconds": round(self.seconds, 3),
            "checkpoint": progress.checkpoint,
            "total_steps": progress.total,
            "peak_memory": progress.peak_memory,
            **({"trouble": progress.trouble} if progress.trouble else {}),
            **({"delivered": []} if self.keep == {} else {}),
        }
