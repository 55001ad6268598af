"""A started attempt and what has been seen of it.

Covers: reading what its trainer tells (progress, checkpoints, trouble, a loss that is NaN), how its end is judged, what
the journal keeps of it, who of its processes holds its devices. Not: when to look, and what follows from it for other
runs (`scheduler`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from ..machine.processes import kernel_oom_kills
from ..records import Attempt, Cache, Outcome
from ..store.events import checkpoint_of
from ..store.history import Progress, after
from ..store.layout import AttemptFolder
from ..trainers import failure_causes
from .placement import Held

if TYPE_CHECKING:
    from ..records import Run
    from ..store.journal import Journal
    from ..trainers import Trainer

DIVERGED = 3
"""Logged steps in a row whose loss is NaN, after which a run is ended (`on_nan: stop`)."""


@dataclass
class RunningAttempt:
    attempt: Attempt
    run_key: str
    label: str
    name: str
    folder: AttemptFolder
    devices: tuple[str, ...]
    handle: str
    """What the executor calls it; "" when it had ended before we came."""
    began: float
    """Monotonic seconds."""
    trainer: Trainer
    keep: dict[str, str]
    device_labels: str = ""
    """Its devices as people call them: `GPU 0, GPU 1`."""
    stop_on_nan: bool = True
    progress: Progress = field(default_factory=Progress)
    offset: int = 0
    """How far its events have been read."""
    filling: tuple[Cache, ...] = ()
    ended_by_us: Outcome | None = None
    outcome: Outcome | None = None
    run: Run | None = None
    """None where an earlier orchestrator started it."""
    release_by: float = 0.0
    """Monotonic seconds at which it has had time enough to release its devices."""
    occupied: str = ""
    """Who still holds its devices after that: `pid 1234 of run 3, which has ended`."""
    oom_kills: int = field(default_factory=kernel_oom_kills)
    """The kernel's count when we first saw it."""

    @property
    def id(self) -> int:
        return self.attempt.id

    @property
    def number(self) -> int:
        return self.attempt.number

    def held(self) -> Held:
        return Held(self.label, frozenset(self.devices), frozenset(cache.path for cache in self.filling), self.occupied)

    def look(self, journal: Journal, say: Callable[[str], None]) -> bool:
        """Take in what its trainer has told since the last look; True when a checkpoint was among it."""
        saved = False
        events, self.offset = self.trainer.events(self.folder, self.offset)
        for event in events:
            before, self.progress = self.progress, after(self.progress, event)
            if (checkpoint := checkpoint_of(event, self.number)) is not None:
                journal.add_checkpoint(self.id, checkpoint)
                saved = True
            if self.progress.trouble != before.trouble:
                say(f"{self.label}: hook: {self.progress.trouble}")
        return saved

    @property
    def diverged(self) -> bool:
        """Whether it is to be ended, and has not been, because its loss stays NaN."""
        return self.stop_on_nan and self.ended_by_us is None and self.progress.nan_in_a_row >= DIVERGED

    def judge(self) -> Outcome:
        """How it ended: what we did to it, else what its exit code and its trainer's module say."""
        if self.ended_by_us is not None:
            return self.ended_by_us
        code = self.folder.read_exit_code()
        if code is None:
            return Outcome("lost", None, "gone without an exit code: it was killed together with its shell")
        try:
            outcome = self.trainer.verdict(self.folder, code)
        except (OSError, UserError) as error:
            return Outcome("failed", code, f"its result cannot be read: {error}")
        if outcome.cause == failure_causes.KILLED.name and kernel_oom_kills() > self.oom_kills:
            return replace(outcome, reason=failure_causes.KERNEL.text(), cause=failure_causes.KERNEL.name)
        return outcome

    def facts(self, seconds: float) -> dict[str, Any]:
        """What the journal keeps of an ended attempt."""
        progress = self.progress
        return {
            "loss": progress.loss,
            "mean_loss": progress.mean_loss,
            "steps": progress.step,
            "seconds": round(seconds, 3),
            "checkpoint": progress.checkpoint,
            "total_steps": progress.total,
            "peak_memory": progress.peak_memory,
        }
