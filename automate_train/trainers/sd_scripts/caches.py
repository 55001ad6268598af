"""Folders of links: cached latents are never wrong and never among the user's images, held-out pictures are absent.

sd-scripts writes cache files next to each image and names those of SD 1.5 and SDXL by the image's own size alone: at
another resolution or with another VAE it reads them again without a warning. So each combination of what a cache
depends on gets a folder `<temp_dir>/datasets/<hash>/<folder's name>`, which runs with the same combination share.
Where nothing is cached, such a folder holds the pictures that are not held out, for those subsets that have any.
Covers: what the hash covers, which files are linked. Not: making the links (`training.latents_cache`), which run fills
them (`training.placement`), which pictures are held out (`sweep.held_out`).
"""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence

from ...records import Cache, SweepContext
from ..launch_parts import links_folder
from . import image_files
from .dataset import Document, any_subset_on, each_subset, effective
from .value_types import Table, Values

LATENTS = (
    "resolution enable_bucket min_bucket_reso max_bucket_reso bucket_reso_steps bucket_no_upscale flip_aug color_aug "
    "random_crop face_crop_aug_range alpha_mask resize_interpolation"
).split()
"""Dataset options that change the latents. flip_aug would not (sd-scripts adds the mirrored latents to the file), but
a run without it could read the file while one with it writes."""

CAPTIONS = (
    "caption_extension class_tokens caption_prefix caption_suffix caption_separator secondary_separator keep_tokens "
    "keep_tokens_separator enable_wildcard shuffle_caption"
).split()
TEXT_MODELS = (
    "pretrained_model_name_or_path clip_l clip_g t5xxl gemma2 text_encoder byt5 qwen3 clip_skip v2 max_token_length "
    "t5xxl_max_token_length gemma2_max_token_length apply_t5_attn_mask apply_lg_attn_mask"
).split()
"""Options that change cached outputs of the text encoders."""

ON_DISK = ("cache_latents_to_disk", "cache_text_encoder_outputs_to_disk", "cache_info")
"""The switches that make the trainer write next to the images."""


def on_disk(training: Values, document: Document) -> list[str]:
    """Those of the switches that are on."""
    return [key for key in ON_DISK if training.get(key) is True or any_subset_on(document, key)]


def redirect(
    document: Document, training: Values, script: str, context: SweepContext
) -> tuple[Document, tuple[Cache, ...]]:
    """The dataset with image_dir replaced by a folder of links, and those folders: every image_dir where something is
    cached on disk, else those that hold held-out pictures. `OSError` when an image folder cannot be read."""
    kinds = on_disk(training, document)
    if not kinds and not context.held_out:
        return document, ()
    document = copy.deepcopy(document)
    caches: dict[str, Cache] = {}
    for dataset, subset in each_subset(document):
        if "image_dir" not in subset:
            continue
        folder = image_files.listing_now(subset["image_dir"])
        images = folder.images if subset.get("is_reg") else folder.without(context.held_out)
        if not kinds and len(images) == len(folder.images):
            continue
        extension = effective(document, dataset, subset, "caption_extension") or ".caption"
        of_images = folder.captions(extension)
        captions = sorted({of_images[image] for image in images if image in of_images})
        depends: Table = {
            "script": script,
            "kinds": kinds,
            "folder": folder.path,
            "images": [(name, *folder.files[name]) for name in images],
        }
        if kinds:
            depends["options"] = {key: effective(document, dataset, subset, key) for key in LATENTS}
            vae = training.get("vae") or training.get("ae") or training.get("pretrained_model_name_or_path")
            depends["vae"] = _identity(vae)
        if kinds != ["cache_latents_to_disk"]:
            depends["captions"] = [(name, *folder.files[name]) for name in captions]
        if kinds and kinds != ["cache_latents_to_disk"]:
            depends["text"] = {key: effective(document, dataset, subset, key) for key in CAPTIONS}
            depends["models"] = {key: _identity(training.get(key)) for key in TEXT_MODELS}
        path = links_folder(depends, folder.path, context)
        links = {file: os.path.join(folder.path, file) for file in sorted({*images, *captions})}
        caches[path] = Cache(path, links, bool(kinds))
        subset["image_dir"] = path
        masks = subset.get("conditioning_data_dir")
        if masks is not None and len(images) < len(folder.images):
            cache = _masks(masks, images, context)
            caches[cache.path] = cache
            subset["conditioning_data_dir"] = cache.path
    return document, tuple(caches.values())


def _masks(path: str, images: Sequence[str], context: SweepContext) -> Cache:
    """The masks of those images alone: sd-scripts refuses a mask without an image."""
    folder, stems = image_files.listing_now(path), {os.path.splitext(image)[0] for image in images}
    masks = [name for name in folder.images if os.path.splitext(name)[0] in stems]
    depends = {"folder": folder.path, "masks": [(name, *folder.files[name]) for name in masks]}
    path = links_folder(depends, folder.path, context)
    return Cache(path, {name: os.path.join(folder.path, name) for name in masks}, fills=False)


def _identity(value: object) -> object:
    """A model by path, size and modification time (a folder: of its weights); anything else by its value."""
    if not isinstance(value, str) or not os.path.exists(value):
        return value
    if os.path.isfile(value):
        stat = os.stat(value)
        return [os.path.abspath(value), stat.st_size, stat.st_mtime_ns]
    files = []
    for part in ("", "vae", "text_encoder", "text_encoder_2"):
        folder = os.path.join(value, part)
        if os.path.isdir(folder):
            found = image_files.listing_now(folder)
            files += [(part, name, *stat) for name, stat in found.files.items()]
    return [os.path.abspath(value), files]
