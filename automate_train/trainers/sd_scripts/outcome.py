"""Whether a run that has ended did what it should.

Covers: after exit code 0 the last checkpoint, for the real trainer exits 0 on NaN, on an empty data set and with no
checkpoint at all. Not: what another exit code and the console say (`reasons`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...records import Event, Outcome
from ...store.events import read_events
from ...store.layout import AttemptFolder
from ..failure_causes import explain
from . import checkpoint, resume

PICKLED = ("ckpt", "pt")


def judge(folder: AttemptFolder, exit_code: int) -> Outcome:
    if exit_code != 0:
        cause, why = explain(exit_code, folder.tail(200))
        return Outcome("failed", exit_code, why, cause.name)
    wrong = _last_checkpoint(folder)
    return Outcome("failed", 0, wrong) if wrong else Outcome("succeeded", 0)


def _last_checkpoint(folder: AttemptFolder) -> str:
    """What is wrong with it, or an empty text."""
    options, message = _training(folder)
    if message:
        return message
    kind = str(options.get("save_model_as") or "safetensors")
    file = Path(str(options.get("output_dir") or folder.output)) / f"{options.get('output_name') or 'last'}.{kind}"
    if kind.startswith("diffusers"):
        file = file.with_suffix("")
    if not file.exists():
        return _no_checkpoint(folder, file)
    if kind in PICKLED or file.is_dir():
        empty = not (any(file.iterdir()) if file.is_dir() else file.stat().st_size)
        return f"the last checkpoint {file.name} is empty" if empty else ""
    try:
        found = checkpoint.read(file)
    except checkpoint.Broken as broken:
        return f"the last checkpoint {file.name} {broken}"
    except OSError as error:
        return f"the last checkpoint {file.name} cannot be read: {error.strerror}"
    if early := _early(found.metadata, options):
        return early
    return _nan(folder, file, found)


def _early(metadata: Mapping[str, str], options: Mapping[str, Any]) -> str:
    """A run that went on from a state may count its steps from there."""
    try:
        done, total = int(metadata["ss_steps"]), int(metadata["ss_max_train_steps"])
    except (KeyError, ValueError):
        return ""
    batches = metadata.get("ss_num_batches_per_epoch", "")
    before = resume.steps_before(options, int(batches)) if batches.isdecimal() else 0
    if done in (total, total - before):
        return ""
    return f"the training ended early: the last checkpoint is of step {done} of {total - before}"


def _training(folder: AttemptFolder) -> tuple[dict[str, object], str]:
    import toml

    try:
        return toml.loads((folder.path / folder.TRAINING).read_text(encoding="utf-8")), ""
    except Exception as error:  # the toml package raises IndexError and others on a file that somebody changed
        return {}, f"{folder.TRAINING} cannot be read any more: {error}"


def _no_checkpoint(folder: AttemptFolder, file: Path) -> str:
    if any("No data found" in line for line in folder.tail(200)):
        return "no checkpoint was written: the trainer found no images"
    others = sorted(file.parent.glob("*.safetensors")) if file.parent.is_dir() else []
    more = f"; the newest is {others[-1].name}" if others else ""
    return f"no checkpoint {file.name} was written{more}: see {folder.console.name}"


def _nan(folder: AttemptFolder, file: Path, found: checkpoint.Checkpoint) -> str:
    """Count what the hook counted while it saved; without it the file is searched (`checkpoint.SCAN` bytes of it)."""
    event = _event_of(folder, file)
    nan, infinite = (event.data.get("nan"), event.data.get("inf")) if event else (None, None)
    what = "NaN"
    if not isinstance(nan, int):
        nan, what = checkpoint.count_nan(file, found), "NaN or infinity"
    elif not nan and isinstance(infinite, int):
        nan, what = infinite, "infinity"
    if not nan:
        return ""
    which = f"{nan} of {len(found.tensors)} tensors of the last checkpoint"
    return f"trained to the end, but {which} hold {what}: lower the learning rate"


def _event_of(folder: AttemptFolder, file: Path) -> Event | None:
    """The hook's last word on this file, if it is about the file as it lies there."""
    events, _ = read_events(folder)
    size, path = file.stat().st_size, os.path.realpath(file)
    for event in reversed(events):
        told = event.data.get("path")
        if event.kind == "checkpoint" and isinstance(told, str) and os.path.realpath(told) == path:
            return event if event.data.get("size") in (None, size) else None
    return None
