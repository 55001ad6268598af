"""Everything that a report is made from: a sweep's runs, their data, the baselines, the axes.

Covers: reading the journal, and each run's data by `cache`; what differs between the runs.
Not: what is read of a run (`cache`), what the page gets of it (`page_data`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ..config.key_sets import NEUTRAL, canonical
from ..errors import UserError
from ..records import RunRecord
from ..store.files import read_json
from ..store.history import Histories
from ..store.journal import Journal
from ..store.layout import SweepFolder
from ..store.votes import Vote, read_votes
from ..trainers import events_of
from .axes import PictureAxes, SettingAxis, picture_axes, setting_axes
from .cache import RunData, read_run
from .sample_files import SamplePicture, read_baselines

WEIGHT_FILES = (".safetensors", ".ckpt", ".pt")


@dataclass(frozen=True)
class SweepData:
    root: Path
    """The sweep's folder."""
    runs: Sequence[RunRecord]
    run_data: Sequence[RunData]
    """One for each run."""
    baselines: Sequence[SamplePicture]
    notes: Mapping[str, object]
    """The journal's."""
    provenance: object
    votes: Sequence[Vote] = ()

    @property
    def project(self) -> str:
        return self.root.name

    @cached_property
    def settings(self) -> list[dict[str, str]]:
        """What differs between the runs, as texts, the same keys for all: the varied keys, and options that changed
        when the same sweep was started again with other files."""
        keys = dict.fromkeys(key for run in self.runs for key in run.varied)
        known = {canonical(key) for key in keys} | NEUTRAL
        for key in dict.fromkeys(key for run in self.runs for key in run.options if key not in known):
            if len({_text(run.options.get(key)) for run in self.runs}) > 1:
                keys[key] = None
        return [
            {key: run.varied[key] if key in run.varied else _text(run.options.get(canonical(key))) for key in keys}
            for run in self.runs
        ]

    @cached_property
    def setting_axes(self) -> list[SettingAxis]:
        return setting_axes(self.settings)

    @cached_property
    def picture_axes(self) -> PictureAxes:
        return picture_axes(each for data in self.run_data for each in data.pictures)


def read_runs(folder: SweepFolder) -> list[RunRecord]:
    """The journal's runs. `UserError` when the journal cannot be read."""
    journal = Journal(folder.journal, read_only=True)
    try:
        return list(journal.records())
    finally:
        journal.close()


def read_sweep(folder: SweepFolder) -> SweepData:
    """What the journal and the attempts' folders hold now. `UserError` when the journal cannot be read."""
    journal = Journal(folder.journal, read_only=True)
    try:
        runs, notes = list(journal.records()), journal.notes()
        histories = Histories(folder, journal, events_of)
        run_data = [read_run(run, folder, histories) if run.attempts else RunData() for run in runs]
    finally:
        journal.close()
    provenance = read_json(folder.provenance) or notes.get("provenance")  # the first edition made a note of it
    return SweepData(folder.path, runs, run_data, read_baselines(folder), notes, provenance, read_votes(folder.votes))


def short_name(run: RunRecord) -> str:
    """Its index; the id of a run that is no longer part of the sweep."""
    return str(run.index) if run.in_sweep else run.id


def lora_path(run: RunRecord) -> str:
    """The finished LoRA's path: the copy in target_path, else the checkpoint in the attempt's folder."""
    delivered = [str(path) for path in run.metrics.get("delivered") or [] if str(path).endswith(WEIGHT_FILES)]
    return delivered[0] if delivered else str(run.metrics.get("checkpoint") or "")


def epoch_checkpoint(folder: SweepFolder, run: RunRecord, epoch: int) -> str:
    """The path of the checkpoint that the run has saved after this epoch. `UserError` where there is none."""
    journal = Journal(folder.journal, read_only=True)
    try:
        saved = Histories(folder, journal, events_of).full(run).checkpoints
    finally:
        journal.close()
    there = {each.epoch: each.path for each in saved if each.epoch is not None and os.path.exists(each.path)}
    if epoch not in there:
        epochs = ", ".join(map(str, sorted(there)))
        hint = f"its epochs are {epochs}" if epochs else "no checkpoint of it is there"
        raise UserError(f"{run.label} has no checkpoint of epoch {epoch}", source=run.name, key="--epoch", hint=hint)
    return there[epoch]


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
