"""Where an attempt goes on: the newest complete state of the run's earlier attempts, and the step it was saved at.

Covers: which attempts were ended from outside, which state folders are complete, at which step of the whole training
each was saved, from which the trainer can go on exactly. Not: saving states (the trainer does, with `save_state`),
whether there is another attempt at all (`training`).

The trainer counts a resumed run's steps from the first epoch that it trains (train_network.py: `global_step` starts at
the remainder of `initial_step` after whole epochs), and writes that count into the next state. Its epochs are counted
from the beginning. So a state's step is computed from both, whichever attempt saved it.
"""

from __future__ import annotations

import json
import math
import os
import re
import zipfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from ...records import Resume
from ...store.events import read_events
from ...store.launch import read_launch
from ...store.layout import AttemptFolder
from .. import job_causes, safetensors_file
from ..failure_causes import explain
from .value_types import Table, Values

OPTIONS = frozenset({"resume", "initial_step", "skip_until_initial_step"})
"""Options that a script needs for this; sd-scripts' full trainers do not have them."""
BATCHES = re.compile(rb"num batches per epoch[^:\n]*: (\d+)")
SEARCHED = 64 << 20
"""Bytes of a console that are searched for the number of batches, which is printed before the first step."""
STATES = re.compile(r"-(?:step\d{8,}|\d{6,})-state$")
"""States within a run; the one at its end (`name-state`) leaves nothing to train."""
PICKLES = ("optimizer.bin", "scheduler.bin", "random_states_0.pkl")
"""Files of a state besides the weights; accelerate writes the last of them last."""


@dataclass(frozen=True)
class State:
    path: Path
    step: int
    """Steps of the whole training that are done."""
    attempt: int


def options(new: AttemptFolder, training: Values, accepted: Collection[str], gpus: int) -> Table:
    """What training.toml needs so that this attempt goes on where earlier ones were cut off; {}: from the start."""
    if not training.get("save_state") or not OPTIONS.issubset(accepted):
        return {}
    found = [state for attempt in _cut_off(new) for state in _states(attempt, training, gpus)]
    for state in sorted(found, key=lambda state: (-state.step, -state.attempt)):
        if is_complete(state.path):
            # With gradient accumulation the trainer would skip too many epochs, because it counts batches as steps.
            skip = _accumulated(training) == 1
            return {"resume": str(state.path), "initial_step": state.step, "skip_until_initial_step": skip}
    return {}


def point(training: Values, counts_all: bool) -> Resume:
    """Where an attempt with these options goes on. `counts_all`: the tiny trainer counts all steps."""
    state = training["resume"]
    batches = _batches(AttemptFolder(Path(state).parents[1])) or 1
    before = 0 if counts_all else steps_before(training, batches)
    return Resume(str(state), training["initial_step"], before)


def steps_before(options: Values, batches: int) -> int:
    """Steps that a run with these options does not count, because they belong to epochs that it does not train.
    `batches`: of one epoch."""
    epoch = steps_per_epoch(batches, options)
    done = options.get("initial_step")
    if done is None and options.get("initial_epoch") is not None:
        done = (options["initial_epoch"] - 1) * epoch
    elif done is None and options.get("resume"):
        done = _train_state(Path(options["resume"]))[1]
    return (done or 0) // epoch * epoch


def steps_per_epoch(batches: int, training: Values) -> int:
    return max(1, math.ceil(batches / _accumulated(training)))


def _accumulated(training: Values) -> int:
    return int(training.get("gradient_accumulation_steps") or 1)


def _cut_off(new: AttemptFolder) -> Iterator[AttemptFolder]:
    """Earlier attempts, newest first, up to one whose own error ended it: its states lead to the same error again."""
    for number in range(new.number - 1, 0, -1):
        attempt = AttemptFolder(new.path.with_name(f"attempt-{number}"))
        if not attempt.path.is_dir():
            continue
        if not _from_outside(attempt):
            return
        yield attempt


def _from_outside(attempt: AttemptFolder) -> bool:
    """Whether it was lost, stopped or killed, or failed for a cause outside the training."""
    metrics = [event.data for event in read_events(attempt)[0] if event.kind == "metrics"]
    if metrics and metrics[-1].get("nan"):
        return False
    code, said = attempt.read_exit_code(), attempt.tail(200)
    if code is None or job_causes.find(said):
        return True
    cause, _ = explain(code, said)
    return code != 0 and (cause.from_outside or cause.passes_by_itself)


def _states(attempt: AttemptFolder, training: Values, gpus: int) -> Iterator[State]:
    # With another number of devices the same images make another number of batches.
    batches = _batches(attempt)
    if batches is None or read_launch(attempt).gpus != gpus or not attempt.output.is_dir():
        return
    epoch = steps_per_epoch(batches, training)
    epochs = training.get("max_train_epochs")
    total = int(epochs) * epoch if epochs else int(training.get("max_train_steps") or 1600)
    for path in attempt.output.iterdir():
        if not STATES.search(path.name):
            continue
        number, counted = _train_state(path)
        if number < 1 or counted < 1:
            continue
        step = (number - 1) * epoch + (counted - 1) % epoch + 1
        # A part of an epoch can be skipped only without gradient accumulation. A training that ends within an epoch
        # runs too long when whole epochs were skipped before it.
        exact = (step % epoch == 0 or _accumulated(training) == 1) and (total % epoch == 0 or step < epoch)
        if step < total and exact:
            yield State(path, step, attempt.number)


def _batches(attempt: AttemptFolder) -> int | None:
    try:
        with attempt.console.open("rb") as file:
            match = BATCHES.search(file.read(SEARCHED))
    except OSError:
        return None
    return int(match[1]) or None if match else None


def _train_state(path: Path) -> tuple[int, int]:
    """(epoch, counting from 1; step as the trainer counts it), zeros where they are unknown."""
    try:
        saved = json.loads((path / "train_state.json").read_text(encoding="utf-8"))
        return int(saved["current_epoch"]), int(saved["current_step"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0, 0


def is_complete(path: Path) -> bool:
    """Whether all of a state was written, and its weights contain no NaN."""
    if not all(zipfile.is_zipfile(path / name) for name in PICKLES):
        return False
    weights = path / "model.safetensors"
    if not os.path.lexists(weights):
        return zipfile.is_zipfile(path / "pytorch_model.bin")
    try:
        return not safetensors_file.count_nan(weights, safetensors_file.read(weights))
    except (OSError, safetensors_file.Broken):
        return False
