"""What is read of a run's folders, kept between two reports: a finished run is read once.

Covers: `RunData` (curves, pictures, packed details) of all attempts that count, the file that keeps it, when that file
is still true. Not: folding events (`store.history`), reading pictures (`sample_files`). Without the file everything is
read again; nothing else is lost.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import time
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ..records import RunRecord
from ..store.curves import Curve
from ..store.files import finite, read_json, write
from ..store.history import Histories, RunHistory
from ..store.launch import read_resume
from ..store.layout import SweepFolder
from ..store.sweep_file import typed_in
from .sample_files import SamplePicture, newest_by_cell, prompt_texts, read_folder, reported

VERSION = 5
"""One more when a `RunData` has other fields or a field means something else."""
CLOCK_TICK = 2_000_000_000
"""Nanoseconds in which a folder may change again without a new time of change."""


class RunData(NamedTuple):
    version: int = VERSION
    stamp: str = ""
    """Of everything that was read; "" when it may have changed since."""
    curves: Mapping[str, Curve] = {}
    seconds: float | None = None
    """How long the attempts took together."""
    step: int | None = None
    total: int | None = None
    epoch_loss: float | None = None
    """Mean of the newest whole epoch, of all its steps but `epoch_nan_steps`."""
    epoch_nan_steps: int = 0
    memory: float | None = None
    """Highest device memory, bytes."""
    nan_steps: int = 0
    """Logged steps whose loss was NaN."""
    pictures: tuple[SamplePicture, ...] = ()
    """Without their details."""
    packed_details: str = ""
    """The file and the details of each picture, packed."""


def pack(value: object) -> str:
    """JSON -> zlib -> base64; the page unpacks it when it is needed."""
    return base64.b64encode(zlib.compress(compact_json(value).encode("utf-8", "replace"), 6)).decode()


def compact_json(value: object) -> str:
    """JSON as browsers read it: null for numbers that are not finite."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except ValueError:
        return json.dumps(finite(value), ensure_ascii=False, separators=(",", ":"))


def pack_details(pictures: Sequence[SamplePicture]) -> str:
    return pack([{"file": each.file, **each.details} for each in pictures])


def unpack_details(packed: str) -> list[dict[str, object]]:
    """What `pack_details` has packed; nothing where it cannot be read."""
    try:
        found = json.loads(zlib.decompress(base64.b64decode(packed)))
    except (ValueError, zlib.error):
        return []
    return found if isinstance(found, list) else []


def read_run(run: RunRecord, sweep: SweepFolder, histories: Histories) -> RunData:
    """What the run's attempts hold now."""
    file = sweep.report_files / "read" / f"{hashlib.sha256(run.key.encode()).hexdigest()[:16]}.json"
    known, stamp = _load(file), _stamp(run, sweep)
    if known.stamp == stamp:
        return known
    history = histories.full(run)
    pictures, final = _read_pictures(history, sweep)
    data = RunData(
        stamp=stamp if final else "",
        curves=history.curves,
        seconds=history.seconds,
        step=history.progress.step,
        total=history.progress.total,
        epoch_loss=history.progress.epoch_loss,
        epoch_nan_steps=history.progress.epoch_nan_steps,
        memory=history.memory or history.progress.peak_memory,
        nan_steps=history.nan_steps,
        pictures=tuple(each._replace(details={}) for each in pictures),
        packed_details=pack_details(pictures),
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    write(file, compact_json(data._asdict()))
    return data


def _read_pictures(history: RunHistory, sweep: SweepFolder) -> tuple[tuple[SamplePicture, ...], bool]:
    """(pictures of the attempts that count, whether they will stay as they are while no folder changes)"""
    run = history.record
    pictures: list[SamplePicture] = []
    final = True
    for attempt in run.attempts:
        if attempt.number not in history.attempts:
            continue
        folder = sweep.attempt(attempt.folder)
        resume = read_resume(folder)
        prompts = prompt_texts(run.options.get("prompt_path"), typed_in(sweep, folder))
        found, complete = read_folder(
            folder.samples, sweep.path, prompts, history.epoch_ends, resume.uncounted_steps if resume else 0
        )
        if resume:  # what earlier attempts trained after this step is trained again
            pictures = [each for each in pictures if (each.step or 0) <= resume.step]
        pictures += [*found, *reported(history.pictures.get(attempt.number, ()), folder, sweep.path)]
        final = final and complete and time.time_ns() - changed_at(folder.samples) > CLOCK_TICK
    return tuple(newest_by_cell(pictures)), final


def _load(file: Path) -> RunData:
    fields = read_json(file) or {}
    if fields.get("version") != VERSION:
        return RunData()
    try:
        return RunData(**{**fields, "pictures": tuple(SamplePicture(*each) for each in fields["pictures"])})
    except (TypeError, KeyError):
        return RunData()


def _stamp(run: RunRecord, sweep: SweepFolder) -> str:
    folders = [(attempt, sweep.attempt(attempt.folder)) for attempt in run.attempts]
    return "; ".join(
        f"{attempt.folder} {attempt.ended} {_size_of(folder.events)} {changed_at(folder.events)} "
        f"{changed_at(folder.samples)}"
        for attempt, folder in folders
    )


def _size_of(file: Path) -> int:
    try:
        return os.stat(file).st_size
    except OSError:
        return 0


def changed_at(file: Path) -> int:
    """Nanoseconds since 1970; 0 where there is no such file or folder."""
    try:
        return os.stat(file).st_mtime_ns
    except OSError:
        return 0
