"""The tiny trainer's images and captions, found as sd-scripts finds them.

Covers: `train_data_dir` with its `<repeats>_<class>` folders, or a dataset TOML (a subset's options before its
dataset's, general's and the command line's; unknown keys are refused); repeats, caption files or class tokens, shuffled
captions, mirrored images, dropped captions, latents kept on disk. Not: buckets (every image is resized to one square of
32 to 64 px), masks, regularisation, random crops and colours: their options are accepted and ignored.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import re
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any

import toml
import torch
from PIL import Image
from torch import Tensor

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
DEFAULTS = {"num_repeats": 1, "class_tokens": "", "batch_size": 1, "resolution": None}
SUBSET = frozenset(
    "image_dir num_repeats class_tokens caption_extension caption_separator shuffle_caption keep_tokens flip_aug "
    "caption_dropout_rate color_aug random_crop face_crop_aug_range keep_tokens_separator secondary_separator "
    "enable_wildcard token_warmup_min token_warmup_step caption_prefix caption_suffix custom_attributes alpha_mask "
    "resize_interpolation caption_dropout_every_n_epochs caption_tag_dropout_rate cache_info is_reg "
    "conditioning_data_dir metadata_file".split()
)
DATASET = frozenset(
    "batch_size resolution enable_bucket min_bucket_reso max_bucket_reso bucket_reso_steps bucket_no_upscale "
    "validation_seed validation_split network_multiplier resize_interpolation".split()
)
log = logging.getLogger(__name__)

Subset = dict[str, Any]
"""A subset's options, as the TOML has them."""


def subsets(args: argparse.Namespace) -> list[Subset]:
    """Every subset with all its options, wherever they are given. `ValueError` on unknown keys."""
    if args.dataset_config:
        config = toml.loads(Path(args.dataset_config).read_text(encoding="utf-8"))
    else:
        folder = Path(args.train_data_dir or "")
        named = [(path, re.match(r"(\d+)_(.*)", path.name)) for path in sorted(folder.glob("*/"))]
        parts = [{"image_dir": str(p), "num_repeats": int(m[1]), "class_tokens": m[2]} for p, m in named if m]
        config = {"datasets": [{"subsets": parts}]} if args.train_data_dir else {}
    general = config.get("general", {})
    _known(config, {"general", "datasets"}, args.dataset_config)
    _known(general, SUBSET | DATASET, "[general]")
    found = []
    base = {**DEFAULTS, **{key: getattr(args, key) for key in SUBSET | DATASET if hasattr(args, key)}}
    base["batch_size"] = args.train_batch_size
    for dataset in config.get("datasets", []):
        _known(dataset, SUBSET | DATASET | {"subsets"}, "[[datasets]]")
        for subset in dataset.get("subsets", []):
            _known(subset, SUBSET, "[[datasets.subsets]]")
            merged = {**base, **general, **dataset, **subset}
            found.append({key: value for key, value in merged.items() if key != "subsets"})
    return found


def _known(table: Mapping[str, object], names: Set[str], where: object) -> None:
    if unknown := table.keys() - names:
        raise ValueError(f"extra keys not allowed in {where}: {', '.join(sorted(unknown))}")


def side(resolution: object) -> int:
    """The square's side in px, 32 to 64: the smaller number of 512, "512", "512,768" or a list; 64 for none."""
    numbers = re.findall(r"\d+", str(resolution)) or ["64"]
    return min(64, max(32, min(map(int, numbers)))) // 8 * 8


class Images(torch.utils.data.Dataset[tuple[Tensor, str]]):
    """Each image as often as its subset repeats it: a latent `(3, side, side)` in -1..1 and a caption."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.subsets = subsets(args)
        self.to_disk = bool(args.cache_latents_to_disk)
        self.latents: dict[str, Tensor] = {}
        self.items: list[tuple[str, str, Subset]] = []
        self.tags: dict[str, dict[str, int]] = {}
        for subset in self.subsets:
            folder = subset["image_dir"]
            if not os.path.isdir(folder):
                log.warning("not directory: %s", folder)
                continue
            names = sorted(name for name in os.listdir(folder) if name.lower().endswith(ENDINGS))
            subset["img_count"] = len(names)
            counts = self.tags.setdefault(os.path.basename(folder), {})
            for name in names:
                path = os.path.join(folder, name)
                caption = _caption(Path(path), subset)
                for tag in filter(None, map(str.strip, caption.split(subset["caption_separator"]))):
                    counts[tag] = counts.get(tag, 0) + 1
                self.items += [(path, caption, subset)] * int(subset["num_repeats"])
        self.batch_size = int(self.subsets[0]["batch_size"]) if self.subsets else 1
        self.side = side(self.subsets[0]["resolution"]) if self.subsets else 64

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[Tensor, str]:
        path, caption, subset = self.items[index]
        latent = self.latent(path)
        if subset["flip_aug"] and random.random() < 0.5:
            latent = latent.flip(-1)
        if subset["shuffle_caption"]:
            tags = [tag.strip() for tag in caption.split(subset["caption_separator"])]
            kept, rest = tags[: subset["keep_tokens"]], tags[subset["keep_tokens"] :]
            caption = ", ".join([*kept, *random.sample(rest, len(rest))])
        return latent, "" if random.random() < subset["caption_dropout_rate"] else caption

    def latent(self, path: str) -> Tensor:
        """Read once, then kept; on disk under a name like sd-scripts', which holds only the image's own size."""
        if path not in self.latents:
            import numpy

            with Image.open(path) as image:
                width, height = image.size
                file = Path(path).with_suffix("").as_posix() + f"_{width:04d}x{height:04d}_tiny.npz"
                if self.to_disk and os.path.exists(file):
                    with numpy.load(file) as kept:
                        self.latents[path] = torch.from_numpy(kept["latents"])
                        return self.latents[path]
                small = image.convert("RGB").resize((self.side, self.side), Image.Resampling.BICUBIC)
            pixels = torch.frombuffer(bytearray(small.tobytes()), dtype=torch.uint8)
            self.latents[path] = pixels.view(self.side, self.side, 3).permute(2, 0, 1) / 127.5 - 1
            if self.to_disk:
                numpy.savez(file, latents=self.latents[path].numpy())
        return self.latents[path]


def _caption(path: Path, subset: Subset) -> str:
    try:
        return path.with_suffix(subset["caption_extension"]).read_text(encoding="utf-8").split("\n")[0].strip()
    except FileNotFoundError:
        return str(subset["class_tokens"] or "")


def collate(items: list[tuple[Tensor, str]]) -> tuple[Tensor, list[str]]:
    return torch.stack([latent for latent, _ in items]), [caption for _, caption in items]
