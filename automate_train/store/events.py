"""events.jsonl: the progress that a trainer's process reports, one JSON object a line.

Covers: reading what is new, whole lines only; making every value safe for all who read events (`FIELDS`); counting a
resumed attempt's steps from the start of the training. The file is untrusted: any program may write there.
Not: writing it (`hook.hook_events`), folding it (`history`), runs without it (a trainer's `events`).
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..records import Checkpoint, Event
from .files import LATEST, finite, is_count, is_number, is_text, open_regular
from .launch import read_resume
from .layout import AttemptFolder

ENDING = re.compile(r"-step(?P<step>\d{8,})$|-(?P<epoch>\d{6,})$")
"""Of a checkpoint's name: a step's, an epoch's; the last checkpoint's has neither."""
MAX_LINE, CHUNK = 1 << 20, 8 << 20


def read_events(attempt: AttemptFolder, cursor: int = 0) -> tuple[list[Event], int]:
    """What an attempt has reported since `cursor`, in steps of the whole training, and the cursor to go on from."""
    events, cursor = read_file(attempt.events, cursor)
    if events and (resume := read_resume(attempt)) is not None and resume.uncounted_steps:
        events = [_counted(event, resume.uncounted_steps) for event in events]
    return events, cursor


def _counted(event: Event, before: int) -> Event:
    step = event.data.get("step")
    return event if step is None else event._replace(data={**event.data, "step": step + before})


def read_file(file: str | Path, offset: int = 0) -> tuple[list[Event], int]:
    """Events after `offset` and the offset to go on from. A half-written last line is left for the next time; a line
    that is not an event is skipped, and so is a file that is not a regular one."""
    found: list[Event] = []
    try:
        with open_regular(file) as opened:
            while True:
                opened.seek(offset)
                data = opened.read(CHUNK)
                # A line that fills a chunk is not an event: skip it.
                whole = data.rfind(b"\n") + 1 or (CHUNK if len(data) == CHUNK else 0)
                found += parse(data[:whole])
                offset += whole
                if len(data) < CHUNK:
                    return found, offset
    except OSError:
        return found, offset


def parse(data: bytes) -> Iterator[Event]:
    """The events among whole lines."""
    for line in data.split(b"\n"):
        if not line or len(line) > MAX_LINE:
            continue
        try:
            fields = json.loads(line, parse_int=_integer)
            if b"\\u" in line:
                json.dumps(fields, ensure_ascii=False).encode()  # half of a surrogate pair: no file could hold it
            at, kind = fields.pop("at"), str(fields.pop("kind"))
            usable = safe(fields)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue
        if is_number(at) and 0 <= at < LATEST:
            yield Event(float(at), kind, usable)


def _integer(text: str) -> int:
    """Integers that SQLite can hold; a line with a longer one is not an event."""
    if len(text) > 18:
        raise ValueError(text[:20])
    return int(text)


def safe(fields: Mapping[str, Any]) -> dict[str, Any]:
    """An event's fields without those whose type is not what readers expect. A step's loss that is not finite sets
    `nan`, as the hook does, which writes null for the loss."""
    found = {name: value for name, value in fields.items() if name not in FIELDS or FIELDS[name](value)}
    loss = fields.get("loss")
    if isinstance(loss, float) and not math.isfinite(loss):
        found["nan"] = True
    return {name: finite(value) for name, value in found.items()}


FIELDS: Mapping[str, Callable[[object], bool]] = {
    **dict.fromkeys(
        ("step", "epoch", "total_steps", "epochs", "size", "inf", "tensors", "peak_memory", "epoch_nan_steps"), is_count
    ),
    **dict.fromkeys(("loss", "average", "epoch_loss", "seconds"), is_number),
    **dict.fromkeys(("path", "which", "where", "error", "name", "tag", "prompt"), is_text),
    **dict.fromkeys(("lr", "other"), lambda value: isinstance(value, dict)),
    "nan": lambda value: isinstance(value, bool) or is_count(value),
}
"""Field of an event -> whether a value may stand there, whatever the kind of the event."""


def checkpoint_of(event: Event, attempt: int) -> Checkpoint | None:
    """The checkpoint that an event reports. `attempt`: the number of the attempt that reported it."""
    path = event.data.get("path")
    if event.kind != "checkpoint" or not path:
        return None
    return Checkpoint(
        path, event.data.get("which") or which(path), event.data.get("epoch"), event.data.get("step"), event.at, attempt
    )


def which(path: str) -> str:
    """epoch, step or last, by the file's name: for records that lack it."""
    found = ENDING.search(os.path.splitext(os.path.basename(path))[0])
    return "last" if found is None else "epoch" if found["epoch"] else "step"
