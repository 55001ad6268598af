"""kohya-ss/sd-scripts and its forks.

The modules in the order in which a run goes through them:
- what the user wants: `script` (which script trains) and `resolve` (where each key belongs, with its type), with
  `legacy_keys` and `network` (old names), `dataset`, `custom` and `image_files` (the dataset TOML), `value_types`
  (settings' values);
- whether it can work: `checks`, with `model_checks`, `dataset_checks`, `argument_names`, `axis_checks`,
  `trainer_python`;
- how it is started: `launcher`, with `accelerate`, `caches`, `resume`, `prompt_file`, `trackers`, `hook_files`,
  `toml_text`;
- which pictures a run trains on: `training_pictures`;
- what came of it: `console` (progress without the hook), `outcome`, `measure` with `measure_model` (checkpoints' error
  on held-out pictures).
"""

from __future__ import annotations

import os

from ...config.values import number
from ...errors import Problem, UserError
from ...records import Event, Launch, PictureFolder, Run, SweepContext
from ...store.events import read_events
from ...store.layout import AttemptFolder
from ..launch_parts import trial_attempt
from . import checks, console, launcher
from .measure import measure
from .outcome import verdict
from .resolve import Resolved, resolve, resolve_unread
from .script import TINY, script_of
from .training_pictures import training_folders
from .value_types import refused, set_options

__all__ = ["disk_bytes", "events", "measure", "needs_gpu", "prepare", "problems", "training_pictures", "verdict"]

RANK_BYTES = {"": 1.2e6, "sdxl": 7e6, "sd3": 6e6, "flux": 12e6}
"""A LoRA's size at rank 1 and 16 bit, roughly, by family."""


def problems(run: Run, context: SweepContext) -> list[Problem]:
    found: list[Problem] = []
    try:
        resolved = resolve(run, context)
    except UserError as error:
        found, resolved = [error.problem], resolve_unread(run, context)
    found += [*resolved.problems, *checks.all_of(run, resolved, context)]
    if not resolved.is_read:  # what only warns depends on the script
        found = [each for each in found if each.severity == "error"]
    reported = {problem.key for problem in found if problem.severity == "error"}
    try:
        launcher.launch(run, resolved, trial_attempt(run, context), context)
    except UserError as error:
        if error.problem.key not in reported:
            found.append(error.problem)
    except OSError as error:
        if not reported:
            found.append(Problem("error", str(error.filename or ""), "", f"cannot be read: {error.strerror}"))
    return found


def needs_gpu(run: Run) -> bool:
    try:
        return script_of(set_options(run.options)).parent != TINY
    except UserError:  # `problems` says it
        return False


def prepare(run: Run, attempt: AttemptFolder, context: SweepContext) -> Launch:
    resolved = resolve(run, context)
    for problem in resolved.problems:
        if problem.severity == "error":
            raise refused(problem)
    return launcher.launch(run, resolved, attempt, context)


def training_pictures(run: Run, context: SweepContext) -> list[PictureFolder]:
    return list(training_folders(resolve(run, context)))


def events(attempt: AttemptFolder, cursor: int) -> tuple[list[Event], int]:
    """What the hook wrote; of a run without the hook, what its progress bar shows."""
    if attempt.hook.exists():
        return read_events(attempt, cursor)
    return console.events(attempt.console, cursor)


def disk_bytes(run: Run, context: SweepContext) -> tuple[int, int]:
    """What the run's checkpoints will take."""
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
