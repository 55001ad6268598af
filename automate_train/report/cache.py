"""What an attempt tells, remembered between two reports: finished runs are not read again.

Covers: `Reading` (curves, pictures, packed details), the file that keeps it, when it is still true.
Not: what is read (`curves`, `pictures`). Losing the file costs time and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import time
import zlib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..store.layout import AttemptFolder, new_events, replace
from . import curves
from . import sample_files as pictures

VERSION = 1
"""One more when a `Reading` has other fields or means something else."""
TICK = 2_000_000_000
"""Nanoseconds in which a folder may change again without a new time of change."""


@dataclass
class Reading:
    version: int = VERSION
    events: str = ""
    """Size and time of change of events.jsonl when it was read."""
    samples: str = ""
    """Time of change of the folder of samples; "" when it may have changed since."""
    told: dict[str, Any] = field(default_factory=dict)
    """`curves.Told`"""
    pictures: list[dict[str, Any]] = field(default_factory=list)
    """`pictures.Picture` without `about`."""
    details: str = ""
    """`about` of each, packed."""


def pack(value: Any) -> str:
    """JSON -> zlib -> base64: what a page unpacks when it is asked for it."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    return base64.b64encode(zlib.compress(text, 6)).decode()


def look(attempt: AttemptFolder, root: Path, kept: Path, prompt_path: object) -> Reading:
    """What the attempt tells now; `kept` is the folder of remembered readings."""
    file = kept / f"{hashlib.sha256(str(attempt.path.relative_to(root)).encode()).hexdigest()[:16]}.json"
    reading = _recall(file)
    events, samples = _stamp(attempt.events), _folder_stamp(attempt.samples)
    if reading.events == events and (samples is None or reading.samples == samples):
        return reading
    if reading.events != events:
        reading.events = events
        reading.told = asdict(curves.read(new_events(attempt.events)[0]))
    ends = {int(epoch): step for epoch, step in reading.told["ends"].items()}
    if samples is not None:
        texts = pictures.texts_of(prompt_path, _cwd(attempt))
        found, whole = pictures.read(attempt.samples, root, texts, ends.get)
        found = list(pictures.cells(found))
        reading.details = pack([{"file": each.file, **each.about} for each in found])
        reading.pictures = [{k: v for k, v in each.as_json().items() if k != "about"} for each in found]
        settled = whole and time.time_ns() - int(samples) > TICK
        reading.samples = samples if settled else ""
    replace(file, json.dumps(asdict(reading), ensure_ascii=False, separators=(",", ":")))
    return reading


def _recall(file: Path) -> Reading:
    try:
        found = json.loads(file.read_bytes())
        return Reading(**found) if found["version"] == VERSION else Reading()
    except (OSError, ValueError, TypeError, KeyError):
        return Reading()


def _stamp(file: Path) -> str:
    try:
        stat = os.stat(file)
    except OSError:
        return "none"
    return f"{stat.st_size}-{stat.st_mtime_ns}"


def _folder_stamp(folder: Path) -> str | None:
    try:
        return str(os.stat(folder).st_mtime_ns)
    except OSError:
        return None


def _cwd(attempt: AttemptFolder) -> str:
    """Where the sweep was started: relative paths in its options begin there."""
    return str(launch_of(attempt.path).get("cwd") or "")


def launch_of(attempt: Path) -> dict[str, Any]:
    """launch.json; {} when it cannot be read."""
    try:
        found = json.loads((attempt / AttemptFolder.LAUNCH).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
