"""What is read of a run's folder, kept between two reports: a finished run is read once.

Covers: `RunData` (curves, pictures, packed details), the file that keeps it, when that file is still true.
Not: what is read (`curves`, `sample_files`). Without the file everything is read again; nothing else is lost.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import time
import zlib
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ..store.events import read_events
from ..store.files import read_json, write
from ..store.layout import AttemptFolder
from . import curves
from .sample_files import SamplePicture, newest_by_cell, prompt_texts, read_folder

VERSION = 2
"""One more when a `RunData` has other fields or a field means something else."""
CLOCK_TICK = 2_000_000_000
"""Nanoseconds in which a folder may change again without a new time of change."""


@dataclass
class RunData:
    version: int = VERSION
    events_stamp: str = ""
    """Size and time of change of events.jsonl when it was read."""
    samples_stamp: str = ""
    """Time of change of the folder of samples; "" when it may have changed since."""
    metrics: dict[str, Any] = field(default_factory=dict)
    """`curves.Told`"""
    pictures: list[SamplePicture] = field(default_factory=list)
    """Without their details."""
    packed_details: str = ""
    """The file and the details of each picture, packed."""


def pack(value: Any) -> str:
    """JSON -> zlib -> base64; the page unpacks it when it is needed."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    return base64.b64encode(zlib.compress(text, 6)).decode()


def pack_details(pictures: list[SamplePicture]) -> str:
    return pack([{"file": each.file, **each.details} for each in pictures])


def read_run(attempt: AttemptFolder, root: Path, cache: Path, prompt_path: object) -> RunData:
    """What an attempt's folder holds now. `cache`: the folder of earlier results; `prompt_path`: the run's option."""
    file = cache / f"{hashlib.sha256(str(attempt.path.relative_to(root)).encode()).hexdigest()[:16]}.json"
    run = _load(file)
    events, samples = _file_stamp(attempt.events), _folder_stamp(attempt.samples)
    if run.events_stamp == events and (samples is None or run.samples_stamp == samples):
        return run
    if run.events_stamp != events:
        run.events_stamp = events
        run.metrics = asdict(curves.read(read_events(attempt)[0]))
    if samples is not None:
        step_of_epoch = {int(epoch): step for epoch, step in run.metrics["ends"].items()}
        texts = prompt_texts(prompt_path, str(read_launch(attempt.path).get("cwd") or ""))
        pictures, complete = read_folder(attempt.samples, root, texts, step_of_epoch.get)
        pictures = newest_by_cell(pictures)
        run.packed_details = pack_details(pictures)
        run.pictures = [replace(each, details={}) for each in pictures]
        final = complete and time.time_ns() - int(samples) > CLOCK_TICK
        run.samples_stamp = samples if final else ""
    write(file, json.dumps(asdict(run), ensure_ascii=False, separators=(",", ":")))
    return run


def _load(file: Path) -> RunData:
    try:
        fields = json.loads(file.read_bytes())
        if fields["version"] != VERSION:
            return RunData()
        return RunData(**{**fields, "pictures": [SamplePicture(**each) for each in fields["pictures"]]})
    except (OSError, ValueError, TypeError, KeyError):
        return RunData()


def _file_stamp(file: Path) -> str:
    try:
        stat = os.stat(file)
    except OSError:
        return "missing"
    return f"{stat.st_size}-{stat.st_mtime_ns}"


def _folder_stamp(folder: Path) -> str | None:
    try:
        return str(os.stat(folder).st_mtime_ns)
    except OSError:
        return None


def read_launch(attempt: Path) -> dict[str, Any]:
    """launch.json of an attempt's folder; {} when it cannot be read."""
    return read_json(AttemptFolder(attempt).launch) or {}
