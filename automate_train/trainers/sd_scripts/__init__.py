"""kohya-ss/sd-scripts and its forks: problems, prepare, verdict.

The rooms, in the order in which a run goes through them:
`values` (settings in small) - `resolve` (which script, where each key belongs, exact types) with `translate`, `network`
(old names: KEYS.md table 2) and `dataset`, `pictures`, `custom` (the dataset TOML: table 3) - `checks`,
`dataset_checks`, `probe` (what the disk and the trainer's Python say) - `launcher` with `samples`, `caches`,
`resume`, `toml_text` (command and files) - `console` (its progress) - `judgement` with `checkpoint` (what came of it).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ...errors import Problem, UserError
from ...records import Event, Launch, Outcome, SweepContext
from ...store.events import read_events
from ...store.layout import AttemptFolder
from . import checks, console, launcher, outcome, probe
from .resolve import Resolved, resolve
from .value_types import number

if TYPE_CHECKING:
    from ...records import Run

__all__ = ["disk_bytes", "events", "prepare", "problems", "verdict"]

RANK_BYTES = {"": 1.2e6, "sdxl": 7e6, "sd3": 6e6, "flux": 12e6}
"""A LoRA's size at rank 1 and 16 bit, roughly, by family."""


def problems(run: Run, context: SweepContext) -> list[Problem]:
    """Everything that is wrong with a run as far as the trainer is concerned; nothing is written or started."""
    try:
        resolved = resolve(run, context)
    except UserError as error:
        return [error.problem]
    found = list(resolved.problems)
    found += checks.all_of(resolved, context)
    found += probe.problems(resolved)
    said = {problem.key for problem in found if problem.severity == "error"}
    try:
        folder = AttemptFolder(os.path.join(context.temp_dir, context.project, run.slug, "attempt-1"))
        launcher.launch(run, resolved, folder, context)
    except UserError as error:
        if error.problem.key not in said:
            found.append(error.problem)
    except OSError as error:
        if not said:
            found.append(Problem("error", str(error.filename or ""), "", f"cannot be read: {error.strerror}"))
    return found


def prepare(run: Run, folder: AttemptFolder, context: SweepContext) -> Launch:
    """What starts this run in this folder; `UserError` when the run has an error that `problems` tells of."""
    resolved = resolve(run, context)
    for problem in resolved.problems:
        if problem.severity == "error":
            raise UserError(problem.message, source=problem.source, key=problem.key, hint=problem.hint)
    return launcher.launch(run, resolved, folder, context)


def events(folder: AttemptFolder, offset: int) -> tuple[list[Event], int]:
    """What the hook wrote; of a run without the hook, what its progress bar shows."""
    if folder.hook.exists():
        return read_events(folder, offset)
    return console.events(folder.console, offset)


def verdict(folder: AttemptFolder, exit_code: int) -> Outcome:
    """Succeeded only with a whole last checkpoint of the last step that holds no NaN."""
    return outcome.judge(folder, exit_code)


def disk_bytes(run: Run, context: SweepContext) -> tuple[int, int]:
    """(bytes under temp_dir, bytes under target_path) that a run's checkpoints will take, estimated; 0 when unknown."""
    try:
        resolved = resolve(run, context)
    except UserError:
        return 0, 0
    size = _checkpoint_bytes(resolved)
    epochs = number(resolved.training.get("max_train_epochs")) or 1
    every = number(resolved.training.get("save_every_n_epochs")) or epochs
    kept = number(resolved.training.get("save_last_n_epochs"))
    count = max(1, -(-epochs // every))
    count = min(count, kept + 1) if kept else count
    return int(size * count), int(size)


def _checkpoint_bytes(resolved: Resolved) -> float:
    if "network_module" not in resolved.accepted:
        model = resolved.training.get("pretrained_model_name_or_path")
        return os.path.getsize(model) if isinstance(model, str) and os.path.isfile(model) else 0
    rank = number(resolved.training.get("network_dim")) or 4
    wide = 1 if resolved.training.get("save_precision") in ("fp16", "bf16") else 2
    return rank * wide * (1e4 if resolved.is_tiny else RANK_BYTES.get(resolved.family, 12e6))
