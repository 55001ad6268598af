"""Folders of links, so that cached latents are never wrong and never written among the user's images.

sd-scripts writes cache files next to each image and names those of SD 1.5 and SDXL by the image's own size alone: at
another resolution or with another VAE it reads them again without a warning. So each combination of what a cache
depends on gets a folder `<temp_dir>/datasets/<hash>/<folder's name>`, which runs with the same combination share.
Covers: what the hash covers, which files are linked. Not: making the links (`store`), which run fills them
(`training.placement`).
"""

from __future__ import annotations

import copy
import json
import os
from hashlib import blake2b

from ...records import Cache
from ...store.layout import DATASETS
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


def redirect(document: Document, training: Values, script: str, temp_dir: str) -> tuple[Document, tuple[Cache, ...]]:
    """The dataset with every image_dir replaced by its folder of links, and those folders; unchanged when nothing is
    cached on disk. `OSError` when an image folder cannot be read."""
    kinds = on_disk(training, document)
    if not kinds:
        return document, ()
    document = copy.deepcopy(document)
    caches: dict[str, Cache] = {}
    for dataset, subset in each_subset(document):
        if "image_dir" not in subset:
            continue
        folder = image_files.listing_now(subset["image_dir"])
        extension = effective(document, dataset, subset, "caption_extension") or ".caption"
        captions = sorted(set(folder.captions(extension).values()))
        options = {key: effective(document, dataset, subset, key) for key in LATENTS}
        depends: Table = {
            "script": script,
            "kinds": kinds,
            "folder": folder.path,
            "images": [(name, *folder.files[name]) for name in folder.images],
            "options": options,
            "vae": _identity(
                training.get("vae") or training.get("ae") or training.get("pretrained_model_name_or_path")
            ),
        }
        if kinds != ["cache_latents_to_disk"]:
            depends["captions"] = [(name, *folder.files[name]) for name in captions]
            depends["text"] = {key: effective(document, dataset, subset, key) for key in CAPTIONS}
            depends["models"] = {key: _identity(training.get(key)) for key in TEXT_MODELS}
        digest = blake2b(json.dumps(depends, sort_keys=True).encode(), digest_size=8).hexdigest()
        name = os.path.basename(folder.path.rstrip("/")) or "pictures"
        path = os.path.join(os.path.abspath(temp_dir), DATASETS, digest, name)
        links = {file: os.path.join(folder.path, file) for file in sorted({*folder.images, *captions})}
        caches[path] = Cache(path, links)
        subset["image_dir"] = path
    return document, tuple(caches.values())


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
