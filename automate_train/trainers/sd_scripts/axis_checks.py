"""Axes that change nothing: every run along one would be the same training.

Covers: options that another option switches off or decides, as sd-scripts reads them (library/train_util.py). Only of
keys that vary in the sweep: a constant that has no effect is harmless, or reported elsewhere (`custom`, `network`).
Not: values (`resolve`).
"""

from __future__ import annotations

from collections.abc import Iterator

from ...config.key_sets import DATASET
from ...config.values import number
from ...errors import Problem
from ...records import Run
from .dataset import any_subset_on, each_subset, effective
from .resolve import Resolved
from .value_types import problem

OWN_FILE = ("custom_dataset", "dataset_config")
OF_BUCKETS = ("min_bucket_reso", "max_bucket_reso", "bucket_reso_steps", "bucket_no_upscale")
NEEDS_ORDER = ("shuffle_caption", "token_warmup_step", "caption_tag_dropout_rate")
"""Of these, one must be on for keep_tokens to be looked at."""


def problems(run: Run, resolved: Resolved) -> Iterator[Problem]:
    for key, why in _without_effect(resolved):
        setting = resolved.given.get(key)
        if setting is not None and setting.written in run.varied:
            text = f"varies in this sweep and has no effect: {why}"
            yield problem(setting, text, f"take {setting.written}_list out, or change what decides")


def _without_effect(resolved: Resolved) -> Iterator[tuple[str, str]]:
    """(option, why it has no effect)."""
    training, document = resolved.training, resolved.document
    if file := next((resolved.given[key] for key in OWN_FILE if key in resolved.given), None):
        yield from ((key, f"{file.written} decides") for key in resolved.given if key in DATASET)
    if "max_train_epochs" in training:
        yield "max_train_steps", f"{resolved.settings['max_train_epochs'].written} decides how long a run trains"
    unet_only = training.get("network_train_unet_only") is True
    if "unet_lr" in training and (unet_only or "text_encoder_lr" in training):
        yield "learning_rate", "unet_lr and text_encoder_lr decide" if not unet_only else "unet_lr decides"
    if unet_only and resolved.settings["network_train_unet_only"].written == "network_train_unet_only":
        yield "text_encoder_lr", "network_train_unet_only is on"
    scheduler = str(training.get("lr_scheduler", "constant"))
    if scheduler.lower() != "polynomial":
        yield "lr_scheduler_power", f"lr_scheduler is {scheduler}"
    subsets = list(each_subset(document))
    if not subsets:
        return
    buckets = [effective(document, *subset, "enable_bucket") is True for subset in subsets]
    if all(buckets):
        yield "face_crop_aug_range", "enable_bucket is on"
    if not any(buckets):
        yield from ((key, "enable_bucket is off") for key in OF_BUCKETS)
    elif all(effective(document, *subset, "bucket_no_upscale") is True for subset in subsets):
        yield from ((key, "bucket_no_upscale is on") for key in OF_BUCKETS[:2])
    values = [effective(document, *subset, key) for subset in subsets for key in NEEDS_ORDER]
    if not any(value is True or number(value) for value in values):
        yield "keep_tokens", f"none of {', '.join(NEEDS_ORDER)} is on"
    if not any_subset_on(document, "shuffle_caption"):
        yield "keep_tokens_separator", "shuffle_caption is off"
