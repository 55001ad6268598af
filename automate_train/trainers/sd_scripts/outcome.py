"""Whether an attempt that has ended did what it should.

Covers: the last checkpoint after exit code 0, because sd-scripts exits with 0 on NaN, on an empty dataset and without
any checkpoint. Not: other exit codes, the console (`failure_causes`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import toml

from ...records import Event, Outcome
from ...store.events import read_events
from ...store.layout import AttemptFolder
from .. import safetensors_file
from ..failure_causes import failed
from . import resume
from .value_types import Values

PICKLED = ("ckpt", "pt")


def verdict(attempt: AttemptFolder, exit_code: int) -> Outcome:
    if exit_code != 0:
        return failed(exit_code, attempt.tail(200))
    wrong = _last_checkpoint(attempt)
    return Outcome("failed", 0, wrong) if wrong else Outcome("succeeded", 0)


def _last_checkpoint(attempt: AttemptFolder) -> str:
    """What is wrong with it, or an empty text."""
    options, message = _training(attempt)
    if message:
        return message
    kind = str(options.get("save_model_as") or "safetensors")
    file = Path(str(options.get("output_dir") or attempt.output)) / f"{options.get('output_name') or 'last'}.{kind}"
    if kind.startswith("diffusers"):
        file = file.with_suffix("")
    if not file.exists():
        return _no_checkpoint(attempt, file)
    if kind in PICKLED or file.is_dir():
        empty = not (any(file.iterdir()) if file.is_dir() else file.stat().st_size)
        return f"the last checkpoint {file.name} is empty" if empty else ""
    try:
        found = safetensors_file.read(file)
    except safetensors_file.Broken as broken:
        return f"the last checkpoint {file.name} {broken}"
    except OSError as error:
        return f"the last checkpoint {file.name} cannot be read: {error.strerror}"
    if early := _early(found.metadata, options):
        return early
    return _nan(attempt, file, found)


def _early(metadata: Mapping[str, str], options: Values) -> str:
    """What is wrong with the last checkpoint's step. A run that went on from a state may count its steps from there."""
    try:
        done, total = int(metadata["ss_steps"]), int(metadata["ss_max_train_steps"])
    except (KeyError, ValueError):
        return ""
    batches = metadata.get("ss_num_batches_per_epoch", "")
    before = resume.steps_before(options, int(batches)) if batches.isdecimal() else 0
    if done in (total, total - before):
        return ""
    return f"the training ended early: the last checkpoint is of step {done} of {total - before}"


def _training(attempt: AttemptFolder) -> tuple[dict[str, object], str]:
    try:
        return toml.loads((attempt.path / attempt.TRAINING).read_text(encoding="utf-8")), ""
    except Exception as error:  # the toml package raises IndexError and others on a file that was changed
        return {}, f"{attempt.TRAINING} cannot be read any more: {error}"


def _no_checkpoint(attempt: AttemptFolder, file: Path) -> str:
    if any("No data found" in line for line in attempt.tail(200)):
        return "no checkpoint was written: the trainer found no images"
    others = sorted(file.parent.glob("*.safetensors")) if file.parent.is_dir() else []
    more = f"; the newest is {others[-1].name}" if others else ""
    return f"no checkpoint {file.name} was written{more}: see {attempt.console.name}"


def _nan(attempt: AttemptFolder, file: Path, found: safetensors_file.Header) -> str:
    """By the hook's count while the file was saved; without one the file is searched."""
    event = _event_of(attempt, file)
    nan, infinite = (event.data.get("nan"), event.data.get("inf")) if event else (None, None)
    what = "NaN"
    if not isinstance(nan, int):
        nan, what = safetensors_file.count_nan(file, found), "NaN or infinity"
    elif not nan and isinstance(infinite, int):
        nan, what = infinite, "infinity"
    if not nan:
        return ""
    which = f"{nan} of {len(found.tensors)} tensors of the last checkpoint"
    return f"trained to the end, but {which} hold {what}: lower the learning rate"


def _event_of(attempt: AttemptFolder, file: Path) -> Event | None:
    """The hook's last event about this file, if it is about the file as it is now."""
    events, _ = read_events(attempt)
    size, path = file.stat().st_size, os.path.realpath(file)
    for event in reversed(events):
        saved = event.data.get("path")
        if event.kind == "checkpoint" and isinstance(saved, str) and os.path.realpath(saved) == path:
            return event if event.data.get("size") in (None, size) else None
    return None
