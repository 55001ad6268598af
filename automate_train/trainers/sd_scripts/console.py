"""The progress of a run without the hook, read from its console.

Covers: the states of tqdm's bar that sd-scripts names `steps:`, the number of epochs that it prints. Not: other bars
that look the same (`validation steps:`, caching, captions), checkpoints (`outcome` checks the last one).
"""

from __future__ import annotations

import math
import os
import re
from pathlib import Path

from ...records import Event

BAR = re.compile(r"steps:\s+\d+%\|[^|]*\|\s*(\d+)/(\d+) \[([^\]]*)\]")
LOSS = re.compile(r"avr_loss=(nan|-?inf|[0-9.e+-]+)")
EPOCHS = re.compile(r"\s*num epochs(?: / epoch数)?: (\d+)")
EPOCH = re.compile(r"epoch (\d+)/(\d+)\s*$")
PIECE = re.compile(r"[\r\n]")
LONGEST = 1 << 20
"""Bytes that are read at a time; of a longer piece only the end."""


def events(console: Path, cursor: int) -> tuple[list[Event], int]:
    """What the bar shows now, as events of the hook's kinds. A line that has not ended is left for the next call."""
    try:
        with console.open("rb") as file:
            status = os.fstat(file.fileno())
            start = max(cursor, status.st_size - LONGEST)
            file.seek(start)
            data = file.read(LONGEST)
    except OSError:
        return [], cursor
    ended = max(data.rfind(b"\r"), data.rfind(b"\n")) + 1
    text = data[:ended].decode("utf-8", "replace")
    return _events_of(text, status.st_mtime), start + ended


def _events_of(text: str, at: float) -> list[Event]:
    found: list[Event] = []
    epochs, finished = None, 0
    for piece in PIECE.split(text):
        if match := EPOCHS.match(piece):
            epochs = int(match[1])
        elif match := EPOCH.match(piece):
            finished, epochs = int(match[1]) - 1, int(match[2])
    bar = progress(text)
    if bar is not None:
        found.append(Event(at, "training", {"total_steps": bar[1], "epochs": epochs}))
        step, _, loss = bar
        nan = loss is not None and not math.isfinite(loss)
        fields = {"step": step, "epoch": finished, "average": None if nan else loss}
        found.append(Event(at, "metrics", {**fields, "nan": True} if nan else fields))
    elif epochs is not None:
        found.append(Event(at, "metrics", {"epoch": finished}))
    return found


def progress(text: str) -> tuple[int, int, float | None] | None:
    """(step, all steps, average loss) of the last bar in a piece of console; None where there is none. A step's bar is
    drawn twice, first with the loss of the step before; a bar that is cut off does not count."""
    found = None
    for piece in PIECE.split(text):
        if match := BAR.match(piece):
            found = match
    if found is None:
        return None
    loss = LOSS.search(found[3])
    return int(found[1]), int(found[2]), float(loss[1]) if loss else None
