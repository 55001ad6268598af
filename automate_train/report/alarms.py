"""The sweep's alarms: which checkpoints are looked at, and what was found, kept in alarms.json between two reports.

Covers: a checkpoint's pictures, the training pictures of its run, its file of weights; the newest checkpoints first,
until the time is over, so that a later report goes on. Not: what an alarm is (`judging/alarms`), showing it
(`web/js/alarms.js`).

{"version": 1, "found": {"<run key>/<what>": {"stamp": "...", "alarms": [[kind, text, picture, other], ...]}}}
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import toml

from ..judging.alarms import Alarm, Sample, looks, picture_alarms, weight_alarms
from ..same_picture import Look
from ..store.events import ENDING
from ..store.files import read_json, write
from ..store.layout import AttemptFolder, SweepFolder
from ..trainers.sd_scripts.image_files import listing_now
from .cache import compact_json, unpack_details
from .sample_files import SamplePicture
from .sweep_data import SweepData

VERSION = 1
MOST_TRAINING = 2000
"""Training pictures that samples are compared with: each takes 110 kB of memory and some milliseconds."""


class CheckpointAlarm(NamedTuple):
    run: int
    """Position in the sweep's runs."""
    checkpoint: int | None
    """Epoch or step, as the page counts checkpoints; None: of the finished LoRA."""
    alarm: Alarm
    """Its pictures are positions among the run's, as text."""


class Alarms(NamedTuple):
    found: list[CheckpointAlarm]
    left: int
    """Sets of pictures and files that a later report looks at."""


class _Training:
    """The pictures that runs were trained on."""

    def __init__(self, files: list[Path]) -> None:
        self.files = files
        self.stamp = _digest(f"{file} {_stamp(file)}" for file in files)

    @cached_property
    def looks(self) -> Mapping[str, Look]:
        return looks(self.files)


class _Job(NamedTuple):
    """What is looked at together: the pictures of a checkpoint at one LoRA weight, or a file of weights."""

    key: str
    run: int
    checkpoint: int | None
    stamp: str
    pictures: tuple[tuple[int, SamplePicture], ...] = ()
    training: _Training | None = None
    file: Path | None = None


def find_alarms(folder: SweepFolder, sweep: SweepData, seconds: float) -> Alarms:
    """All that are known after about `seconds` of looking at what is new."""
    kept = read_json(folder.alarms) or {}
    known = kept.get("found") if kept.get("version") == VERSION else None
    known = known if isinstance(known, dict) else {}
    end = time.monotonic() + seconds
    found: list[CheckpointAlarm] = []
    now: dict[str, Any] = {}
    looked = left = 0
    for job in sorted(_jobs(folder, sweep), key=lambda job: -(1 << 62 if job.checkpoint is None else job.checkpoint)):
        alarms = _kept(known.get(job.key), job.stamp)
        if alarms is None and time.monotonic() >= end:
            left += 1
            continue
        if alarms is None:
            looked += 1
            alarms = _look(folder, sweep, job)
        now[job.key] = {"stamp": job.stamp, "alarms": alarms}
        found += [CheckpointAlarm(job.run, job.checkpoint, alarm) for alarm in alarms]
    if looked or now.keys() != known.keys():
        with contextlib.suppress(OSError):  # a full disk: the next report looks again
            write(folder.alarms, compact_json({"version": VERSION, "found": now}))
    return Alarms(found, left)


def _kept(entry: object, stamp: str) -> list[Alarm] | None:
    """What an earlier report has found; None where something has changed since, or where it cannot be read."""
    if not isinstance(entry, dict) or entry.get("stamp") != stamp:
        return None
    try:
        alarms = [Alarm(*each) for each in entry["alarms"]]
    except (TypeError, KeyError):
        return None
    return alarms if all(isinstance(text, str) for alarm in alarms for text in alarm) else None


def _look(folder: SweepFolder, sweep: SweepData, job: _Job) -> list[Alarm]:
    if job.file is not None:
        try:
            return weight_alarms(job.file)
        except OSError:
            return []
    details = unpack_details(sweep.run_data[job.run].packed_details)
    samples = [
        Sample(str(at), folder.path / each.file, details[at].get("seed") if at < len(details) else None)
        for at, each in job.pictures
    ]
    return picture_alarms(samples, job.training.looks if job.training else {})


def _jobs(folder: SweepFolder, sweep: SweepData) -> Iterator[_Job]:
    trained_on: dict[tuple[str, ...], _Training] = {}
    for run, record in enumerate(sweep.runs):
        attempts = [folder.attempt(attempt.folder) for attempt in record.attempts]
        folders = tuple(_training_folders(attempts[-1])) if attempts else ()
        if folders not in trained_on:
            trained_on[folders] = _Training(_images(folders))
        groups: dict[tuple[int, float | None], list[tuple[int, SamplePicture]]] = defaultdict(list)
        for at, picture in enumerate(sweep.run_data[run].pictures):
            checkpoint = picture.step if sweep.picture_axes.unit == "step" else picture.epoch
            if checkpoint is not None and picture.file and picture.state == "done":
                groups[checkpoint, picture.weight].append((at, picture))
        training = trained_on[folders]
        for (checkpoint, weight), group in groups.items():
            stamp = _digest([training.stamp, *(f"{at} {each.file} {each.stamp}" for at, each in group)])
            key = f"{record.key}/pictures/{checkpoint}/{weight}"
            yield _Job(key, run, checkpoint, stamp, tuple(group), training)
        for attempt in attempts:
            for file in sorted(attempt.output.glob("*.safetensors")):
                named = ENDING.search(file.stem)
                of_unit = named[sweep.picture_axes.unit] if named else None
                if of_unit or named is None:
                    key = f"{record.key}/{file.relative_to(folder.path)}"
                    yield _Job(key, run, int(of_unit) if of_unit else None, _stamp(file), file=file)


def _training_folders(attempt: AttemptFolder) -> Iterator[str]:
    try:
        config = toml.loads((attempt.path / attempt.DATASET).read_text(encoding="utf-8"))
        for dataset in config.get("datasets", ()):
            yield from (str(each["image_dir"]) for each in dataset.get("subsets", ()) if "image_dir" in each)
    except (OSError, ValueError, TypeError, AttributeError, IndexError):  # another trainer's, or not as it was written
        return


def _images(folders: tuple[str, ...]) -> list[Path]:
    found: list[Path] = []
    for folder in folders:
        with contextlib.suppress(OSError, ValueError):
            found += [Path(folder) / name for name in listing_now(folder).images]
    return found[:MOST_TRAINING]


def _stamp(file: Path) -> str:
    try:
        stat = file.stat()
    except OSError:
        return ""
    return f"{stat.st_size:x}-{stat.st_mtime_ns:x}"


def _digest(texts: Iterator[str] | list[str]) -> str:
    return hashlib.sha256("\n".join(texts).encode("utf-8", "replace")).hexdigest()[:16]
