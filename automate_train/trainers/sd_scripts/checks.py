"""What is wrong with a run beyond single options: modules, caches, prompts, trackers, options that exclude each other.

Covers: the order of all checks, and those that need no file of their own; what is legal but unusual is a warning.
Not: unknown keys, types, choices and ranges (`resolve`), and what the other modules that `all_of` names look at.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from ...config.prompts import check_prompts
from ...config.values import number, unset
from ...errors import Problem, UserError, nearest
from ...records import Run, SweepContext
from ..script_options.argument import shown
from . import (
    argument_names,
    axis_checks,
    caches,
    custom,
    dataset_checks,
    model_checks,
    prompt_file,
    trackers,
    trainer_python,
)
from .dataset import any_subset_on, each_subset, effective
from .measure import why_not
from .resolve import Resolved
from .value_types import as_list, is_on, path_in, problem, text_in

SCHEDULERS = (
    "linear cosine cosine_with_restarts polynomial constant constant_with_warmup inverse_sqrt reduce_lr_on_plateau "
    "cosine_with_min_lr cosine_warmup_with_min_lr warmup_stable_decay piecewise_constant"
).split()
OPTIMIZERS = (
    "AdamW AdamW8bit PagedAdamW PagedAdamW8bit PagedAdamW32bit Lion Lion8bit PagedLion8bit SGDNesterov SGDNesterov8bit "
    "DAdaptation DAdaptAdamPreprint DAdaptAdaGrad DAdaptAdam DAdaptAdan DAdaptAdanIP DAdaptLion DAdaptSGD Prodigy "
    "Adafactor RAdamScheduleFree AdamWScheduleFree SGDScheduleFree "
    "Adadelta Adagrad Adam SparseAdam Adamax ASGD LBFGS NAdam RAdam RMSprop Rprop SGD Muon"
).split()
"""sd-scripts' names (in any case) and those of torch.optim. Only a name close to one of them is reported."""


def all_of(run: Run, resolved: Resolved, context: SweepContext) -> Iterator[Problem]:
    yield from model_checks.problems(resolved)
    yield from _modules(resolved)
    yield from argument_names.problems(resolved)
    yield from dataset_checks.all_of(resolved)
    yield from _caching(resolved)
    yield from _samples(resolved)
    yield from _trackers(run, resolved)
    yield from _machine(resolved, context)
    yield from _judge(resolved)
    yield from _unusual(resolved)
    yield from _names(resolved)
    yield from axis_checks.problems(run, resolved)
    yield from trainer_python.problems(resolved)


def _modules(resolved: Resolved) -> Iterator[Problem]:
    """Names that the trainer checks only after the models are loaded and the latents cached."""
    module = resolved.training.get("network_module")
    is_readable = resolved.is_read and not resolved.is_tiny
    if is_readable and isinstance(module, str) and module.startswith("networks."):
        folder = resolved.script.parent / "networks"
        if not (folder / f"{module.removeprefix('networks.')}.py").is_file():
            there = [f"networks.{path.stem}" for path in folder.glob("*.py")]
            text = f"{resolved.script.parent} has no {module}"
            yield problem(resolved.settings["network_module"], text, nearest(module, there))
    for name, known in (("lr_scheduler", SCHEDULERS), ("optimizer_type", OPTIMIZERS)):
        value = resolved.training.get(name)
        if not isinstance(value, str) or re.search(r"[.:]", value):
            continue
        lower = [word.lower() for word in known]
        if value.lower() not in lower and (near := nearest(value.lower(), lower)):
            yield problem(resolved.settings[name], f"the trainer has no {value!r}", near)


def _caching(resolved: Resolved) -> Iterator[Problem]:
    kinds = caches.on_disk(resolved.training, resolved.document)
    cached = next((key for key in ("cache_latents", *caches.ON_DISK[:1]) if resolved.training.get(key)), None)
    setting = resolved.settings.get(cached or "")
    for key in ("color_aug", "random_crop"):
        if cached and any_subset_on(resolved.document, key):
            yield problem(
                setting, f"{key} changes images each time, so their latents cannot be cached", "switch one off"
            )
    boxes = [effective(resolved.document, d, s, "face_crop_aug_range") for d, s in each_subset(resolved.document)]
    if cached and any(box not in (None, [1.0, 1.0]) for box in boxes):
        text = "face_crop_aug_range has no effect on cached latents"
        yield problem(resolved.given.get("face_crop_aug_range"), text, "set cache_latents to false", "warning")
    if kinds and any("metadata_file" in subset for _, subset in each_subset(resolved.document)):
        text = f"{kinds[0]} with a metadata file would write among your images"
        yield problem(resolved.settings.get(kinds[0]), text, "use cache_latents")


def _samples(resolved: Resolved) -> Iterator[Problem]:
    setting = resolved.settings.get("sample_prompts") or resolved.given.get("prompt_path")
    path = path_in(setting)
    if setting is None or path is None:
        return
    _, wrong = check_prompts(path)
    yield from (problem(setting, f"{each.source or path}: {each.message}", each.hint) for each in wrong)
    if not wrong:
        yield from prompt_file.problems(resolved)


def _trackers(run: Run, resolved: Resolved) -> Iterator[Problem]:
    """The trackers' own config, which the trainer reads only after the models are loaded, and the login to W&B."""
    try:
        trackers.config(run, resolved)
    except UserError as error:
        yield error.problem
    setting, log_with = resolved.given.get("log_tracker_config"), resolved.given.get("log_with")
    path = path_in(setting)
    if path is not None and log_with is not None and "log_tracker_config_template" not in resolved.given:
        _, message = custom.parse(path)
        if message:
            yield problem(setting, f"{path} {message}")
    if text_in(log_with) == "wandb" and "wandb_api_key" not in resolved.given and not _wandb_knows_us():
        text = "W&B has neither a key nor a login here"
        yield problem(log_with, text, "wandb login, or give wandb_api_key, or set WANDB_MODE=offline")


def _wandb_knows_us() -> bool:
    """By a key in the environment, a mode that needs none, or a line in .netrc, where `wandb login` writes it."""
    if any(os.environ.get(name) for name in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE", "WANDB_DISABLED")):
        return True
    if os.environ.get("WANDB_MODE") in ("offline", "disabled", "dryrun"):
        return True
    server = os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai").partition("://")[2].split("/")[0]
    names = [os.environ.get("NETRC") or "~/.netrc", "~/_netrc"]
    files = [Path(os.path.expanduser(name)) for name in names]
    try:
        return any(server in file.read_text(errors="replace") for file in files if file.is_file())
    except OSError:
        return False


def _machine(resolved: Resolved, context: SweepContext) -> Iterator[Problem]:
    precision = resolved.training.get("mixed_precision")
    if context.cpu and (precision == "fp16" or resolved.training.get("full_fp16")):
        text = "fp16 needs a GPU, and this run trains on the CPU"
        yield problem(resolved.settings.get("mixed_precision"), text, "set mixed_precision to no or bf16")
    hook = resolved.given.get("hook")
    if hook is not None and not is_on(hook) and (title := resolved.given.get("process_title")):
        yield problem(title, "has no effect without the hook", "", "warning")


def _judge(resolved: Resolved) -> Iterator[Problem]:
    """Whether the checkpoints can be measured on the held-out pictures, which is tried only after the training."""
    held_out, judge = resolved.given.get("held_out"), resolved.given.get("judge")
    if held_out is None or text_in(judge) == "off" or not resolved.is_read or resolved.is_tiny:
        return
    if text := why_not(resolved.script):
        hint = 'set "judge" to "off" and measure them by another program, or set "held_out" to null'
        yield problem(held_out, text, hint)


def _unusual(resolved: Resolved) -> Iterator[Problem]:
    """Legal, but rarely intended."""

    def warning(key: str, message: str) -> Problem:
        return problem(resolved.settings.get(key), message, severity="warning")

    value = {name: number(found) for name, found in resolved.training.items() if not isinstance(found, list)}
    dim, alpha = value.get("network_dim"), value.get("network_alpha")
    if dim is not None and alpha is not None and alpha > dim:
        yield warning("network_alpha", f"network_alpha {alpha:g} is larger than network_dim {dim:g}")
    if (skip := value.get("clip_skip")) is not None and skip not in (1, 2):
        yield warning("clip_skip", f"clip_skip {skip:g} is neither 1 nor 2")
    rates = resolved.training.get("text_encoder_lr")
    text = max((number(rate) or 0 for rate in as_list(rates)), default=0)
    if (unet := value.get("unet_lr")) is not None and text > unet:
        yield warning("text_encoder_lr", f"text_encoder_lr {text:g} is larger than unet_lr {unet:g}")


def _names(resolved: Resolved) -> Iterator[Problem]:
    """The user's own output_name and output_dir: runs of a sweep cannot share them."""
    name = resolved.training.get("output_name")
    if isinstance(name, str) and not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}", name):
        text = f"{shown(name)} is not a file name of letters, digits, . _ and -"
        yield problem(resolved.settings["output_name"], text)
    if (folder := resolved.settings.get("output_dir")) and not unset(folder.value):
        ending = "" if "target_path" in resolved.given else "; the finished file is copied to output_dir"
        yield problem(folder, f"checkpoints go to each run's own folder{ending}", "", "warning")
