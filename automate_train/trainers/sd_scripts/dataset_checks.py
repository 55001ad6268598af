"""What is wrong with a run's images: folders, captions, masks.

Covers: every subset of the dataset TOML, ours or the user's own. Not: the TOML's keys and types (`dataset`, `custom`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from ...errors import Problem
from ...records import Setting
from . import image_files
from .dataset import each_subset, effective
from .resolve import Resolved
from .value_types import Table, problem

NAMED = 3
"""How many files of a folder are named."""


def all_of(resolved: Resolved) -> Iterator[Problem]:
    document = resolved.document
    source = _dataset_setting(resolved)
    default = resolved.accepted.get("caption_extension")
    for dataset in document.get("datasets", []):
        yield from _masks(dataset["subsets"], resolved.given.get("mask_dir", source))
    for dataset, subset in each_subset(document):
        if effective(document, dataset, subset, "resolution") is None and not resolved.is_tiny:
            yield problem(source, "the dataset has no resolution", "set resolution, for example to 512")
        if metadata := subset.get("metadata_file"):
            if not os.path.isfile(metadata):
                yield problem(source, f"there is no file {metadata}")
            continue
        extension = effective(document, dataset, subset, "caption_extension")
        extension = extension or (default.default if default else None) or ".caption"
        has_class = effective(document, dataset, subset, "class_tokens") is not None
        yield from _images(subset.get("image_dir", ""), str(extension), has_class, source)


def _dataset_setting(resolved: Resolved) -> Setting | None:
    for key in ("custom_dataset", "dataset_config", "image_dir", "train_data_dir", "metadata_file", "in_json"):
        if key in resolved.given:
            return resolved.given[key]
    return None


def _masks_of_a_fork(folder: str, images: list[str], masks: list[str], source: Setting | None) -> Iterator[Problem]:
    """aria1th/kohya_ss (library/train_util.py, search_mask): the mask of `a` is `a_mask` or `a_<word>_mask`."""
    stems = {name.removesuffix("_mask") for name in masks if name.endswith("_mask")}
    stems |= {stem.rpartition("_")[0] for stem in stems}
    missing = [name for name in images if name not in stems]
    if images and len(missing) == len(images):
        text = f"no mask in {folder} has the name of an image and the suffix _mask, which this trainer needs"
        yield problem(source, text, f"name the mask of {images[0]} {images[0]}_mask.png")
    elif missing:
        text = f"{len(missing)} of {len(images)} images have no mask in {folder}: {missing[0]}"
        yield problem(source, text, f"its name would be {missing[0]}_mask.png", "warning")


def _images(path: str, extension: str, has_class: bool, source: Setting | None) -> Iterator[Problem]:
    try:
        folder = image_files.listing(path)
    except (OSError, ValueError) as error:
        reasons = {2: "there is no folder", 20: "is not a folder:"}
        yield problem(source, f"{reasons.get(getattr(error, 'errno', None) or 0, 'cannot be read:')} {path}")
        return
    images = folder.images
    if not images:
        inside = f"; its sub-folders ({', '.join(folder.folders[:3])}) would need names like 10_name"
        text = f"{path} contains no images (png, jpg, webp, bmp){inside if folder.folders else ''}"
        yield problem(source, text)
        return
    if broken := folder.broken_images:
        few = ", ".join(f"{name} {why}" for name, why in list(broken.items())[:NAMED])
        more = " ..." if len(broken) > NAMED else ""
        text = f"{len(broken)} of {len(images)} images of {path} cannot be read: {few}{more}"
        yield problem(source, text, "replace them, or take them out of the folder")
    missing = len(images) - len(folder.captions(extension))
    if missing == len(images) and not has_class:
        hint = "write captions, set caption_extension, or give class_tokens"
        yield problem(source, f"none of the {missing} images of {path} has a caption ({extension})", hint)
    elif missing:
        then = "class_tokens are used for them" if has_class else "they train on an empty caption"
        yield problem(source, f"{missing} of {len(images)} images of {path} have no caption: {then}", "", "warning")
    if bad := sorted(image_files.bad_captions(folder, extension)):
        text = f"{len(bad)} captions are empty or not in UTF-8, which stops the trainer: {path}/{bad[0]}"
        yield problem(source, text, "write a caption into it, or delete it")


def _masks(subsets: list[Table], source: Setting | None) -> Iterator[Problem]:
    """sd-scripts needs a mask for each image and an image for each mask of a dataset; a fork's mask_dir needs one mask,
    and an image without one counts whole."""
    paired, there = set(), set()
    for subset in subsets:
        strict = "conditioning_data_dir" in subset
        masks, images = subset.get("conditioning_data_dir", subset.get("mask_dir")), subset.get("image_dir")
        if masks is None or images is None:
            continue
        try:
            names = {os.path.splitext(name)[0] for name in image_files.listing(masks).images}
            wanted = {os.path.splitext(name)[0] for name in image_files.listing(images).images}
        except (OSError, ValueError):
            if not os.path.isdir(masks):
                yield problem(source, f"there is no mask folder {masks}")
            continue
        if not strict:
            yield from _masks_of_a_fork(masks, sorted(wanted), sorted(names), source)
            continue
        if missing := sorted(wanted - names):
            yield problem(source, f"{len(missing)} images have no mask of their name in {masks}: {missing[0]}")
        paired |= {os.path.join(masks, name) for name in wanted & names}
        there |= {os.path.join(masks, name) for name in names}
    if extra := sorted(there - paired):
        yield problem(source, f"{len(extra)} masks have no image of their name: {extra[0]}", "move them elsewhere")
