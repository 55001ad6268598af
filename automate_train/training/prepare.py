"""What the loop is handed: the work, the place to run it, the display; a run made ready for its start.

Covers: the shapes, and what is asked of a trainer before a start. Not: the loop (`scheduler`), the places
(`executors/*`), the displays (`live`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from ..config.keys import unset
from ..records import Device, Launch, Outcome, Run, RunRecord, SweepContext
from ..store.history import RunHistory
from ..store.journal import Journal
from ..store.layout import AttemptFolder, SweepFolder, is_filled
from ..sweep.record import record_of
from ..sweep.strategies import Strategy
from ..trainers import Trainer
from .placement import Policy, Want
from .running_attempt import RunningAttempt


class Display(Protocol):
    every: float
    """Seconds between two calls of `tick`; infinity: only when something happened."""

    def started(self, active: RunningAttempt) -> None: ...
    def ended(self, active: RunningAttempt, outcome: Outcome, seconds: float) -> None: ...
    def waits(self, run: Run, why: str) -> None: ...
    def say(self, text: str) -> None: ...
    def tick(self, active: list[RunningAttempt], devices: Callable[[], list[Device]], left: int) -> None: ...


@dataclass(frozen=True)
class Job:
    """What one call of the loop works on."""

    strategy: Strategy
    histories: Mapping[str, RunHistory]
    """What the store knows of the runs that have begun: the strategy decides by it."""
    folder: SweepFolder
    policy: Policy
    trainer: Callable[[Run], Trainer]
    context: SweepContext
    devices_of: Callable[[Run], tuple[str, ...]]
    """The device ids that a run is bound to; empty when the sweep is distributed or on the CPU."""
    stop_on_failure: bool = True
    total: int = 0
    """Runs that are to be done, as far as known."""


def retries(run: Run) -> int:
    """How often a run is tried again when what ended it passes by itself."""
    option = run.options.get("retries")
    return 0 if option is None or unset(option.value) else int(option.value)


@dataclass
class Ready:
    """A run with its launch, prepared for the folder of its next attempt."""

    run: Run
    record: RunRecord
    folder: AttemptFolder
    trainer: Trainer
    launch: Launch
    want: Want

    def look_at_caches(self) -> None:
        """What it would fill now, after another run may have filled it."""
        fills = frozenset(cache.path for cache in self.launch.caches if not is_filled(cache))
        self.want = Want(self.want.key, self.want.gpus, self.want.devices, fills)


def prepare(job: Job, journal: Journal, run: Run) -> Ready:
    """Nothing is written yet; `UserError`, `RunError` or `OSError` when the run cannot be prepared."""
    record = record_of(run)
    folder = job.folder.attempt(journal.next_attempt(record))
    trainer = job.trainer(run)
    launch = trainer.prepare(run, folder, job.context)
    bound = job.devices_of(run) if launch.gpus else ()
    ready = Ready(run, record, folder, trainer, launch, Want(run.key, launch.gpus, bound))
    ready.look_at_caches()
    return ready
