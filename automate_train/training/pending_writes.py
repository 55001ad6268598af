"""What has happened and is still to be written into the journal: none of it may delay the next start.

Covers: starts, checkpoints, ends, reasons to wait and copies, kept until `write` puts them into the store, tells the
display, and has the files of what succeeded copied. Not: the order of things (`loop`).
"""

from __future__ import annotations

from collections.abc import Callable

from ..config.masking import Masker
from ..records import Attempt, Checkpoint, Outcome, Run
from ..store.journal import Journal
from .delivery import Delivery
from .interfaces import Display
from .running_attempt import RunningAttempt


class PendingWrites:
    def __init__(
        self, journal: Journal, display: Display, delivery: Delivery, now: Callable[[], float], masker: Masker
    ) -> None:  # fmt: skip
        """`now`: Unix seconds; `masker`: what a trainer has printed may hold a secret, and is quoted."""
        self.journal, self.display, self.delivery, self.now = journal, display, delivery, now
        self.masker = masker
        self.starts: list[RunningAttempt] = []
        self.ends: list[tuple[RunningAttempt, Outcome]] = []
        self.checkpoints: list[tuple[Attempt, Checkpoint]] = []
        self.waiting: dict[str, str] = {}
        """Run key -> why it waits."""
        self.queued: dict[str, str] = {}
        """The same of runs whose attempt waits in the queue of the engine behind the executor."""
        self.written_waiting: dict[str, dict[str, str]] = {"waiting": {}, "queued": {}}

    def could_not_start(self, attempt: Attempt, run: Run, reason: str) -> None:
        """Written down at once: what stops a sweep must not be lost."""
        self.journal.end(attempt, Outcome("failed", None, self.masker.text(reason)), self.now(), {})
        self.display.say(f"run {run.number} {run.name}: failed: {reason}")

    def write(self) -> bool:
        """Everything since the last time; True when there are new checkpoints or ends."""
        copies = list(self.delivery.results())
        starts, ends, checkpoints = self.starts, self.ends, self.checkpoints
        self.starts, self.ends, self.checkpoints = [], [], []
        waiting = {"waiting": self.waiting, "queued": self.queued}
        if starts or ends or checkpoints or copies or waiting != self.written_waiting:
            with self.journal.transaction():
                for started in starts:
                    self.journal.set_handle(started.id, started.handle)
                for attempt, checkpoint in checkpoints:
                    self.journal.add_checkpoint(attempt.id, checkpoint)
                for ended, outcome in ends:
                    shown = outcome._replace(reason=self.masker.text(outcome.reason))
                    self.journal.end(ended.attempt, shown, self.now(), self.masker.value(ended.metrics()))
                for copy in copies:
                    if not copy.error:
                        self.journal.set_delivered(copy.attempt, copy.paths)
                if waiting != self.written_waiting:
                    self.journal.note(**waiting)
                    self.written_waiting = waiting
        for ended, outcome in ends:
            self.display.ended(ended, outcome, ended.seconds)
            if outcome.kind == "succeeded" and ended.keep != {}:
                self.delivery.add(ended.attempt)
        for started in starts:
            self.display.started(started)
        for copy in copies:
            if copy.error:
                self.display.say(f"{copy.attempt.folder}: trained, but not copied to target_path: {copy.error}")
        return bool(ends or checkpoints)
