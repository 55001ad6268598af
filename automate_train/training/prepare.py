"""A run made ready before a device is free, so that its start is nothing but the start.

Covers: what is asked of its trainer, the attempt's folder that it will get, the devices that it names, what it asks
placement for. Not: writing anything, starting it (`loop`).
"""

from __future__ import annotations

import os
from functools import cache
from typing import NamedTuple

from ..config.values import unset, whole
from ..executors.slurm_options import table_of
from ..machine import gpus
from ..records import Launch, Run, RunRecord, SweepContext
from ..store.journal import Journal
from ..store.layout import AttemptFolder, SweepFolder
from ..sweep.record import record_of
from ..trainers import Trainer, load
from . import latents_cache, next_attempt
from .placement import Request


class PreparedRun(NamedTuple):
    run: Run
    record: RunRecord
    inside_sweep: str
    """Its next attempt's folder, inside the sweep's."""
    folder: AttemptFolder
    trainer: Trainer
    launch: Launch
    devices: tuple[str, ...]
    """The devices that it names; empty where all runs share the pool."""

    def request(self) -> Request:
        """What it asks placement for now: another run may have filled a cache since."""
        fills = frozenset(each.path for each in self.launch.caches if latents_cache.is_to_fill(each))
        return Request(self.run.key, f"run {self.run.number}", self.launch.gpus, self.devices, fills)


def prepare(run: Run, journal: Journal, context: SweepContext) -> PreparedRun:
    """`UserError`, `RunError` or `OSError` when the run cannot be prepared."""
    record = record_of(run)._replace(id=journal.ids.of(run.key))
    inside = journal.next_attempt(record)
    folder = SweepFolder(context.temp_dir, context.project).attempt(inside)
    trainer = load(run.options["trainer"].value)
    launch = trainer.prepare(run, folder, context)
    if context.executor != "local":
        files = {**launch.files, AttemptFolder.NEXT: next_attempt.kept(run, context)}
        launch = launch._replace(slurm=table_of(run), files=files)
    named = launch.gpus > 0 and not context.pool and context.executor == "local"
    return PreparedRun(run, record, inside, folder, trainer, launch, _named_devices(run) if named else ())


def retries(run: Run) -> int:
    """How often a run is tried again when what ended it passes by itself."""
    option = run.options.get("retries")
    return 0 if option is None else whole(option.value) or 0


def _named_devices(run: Run) -> tuple[str, ...]:
    option = run.options.get("cuda_device")
    text = "0" if option is None or unset(option.value) else str(option.value)
    return _device_ids(text, os.environ.get("CUDA_VISIBLE_DEVICES"))


@cache
def _device_ids(text: str, visible: str | None) -> tuple[str, ...]:
    """Ids of the devices with these numbers. They are those of the first look: a card that falls off the bus must not
    give its number to another one."""
    return tuple(gpus.parse_devices(text, gpus.snapshot(), visible))
