"""The plain error of sd-scripts' models on held-out pictures, by sd-scripts' own classes; runs in the trainer's Python.

Covers: the base loaded once by the script's `NetworkTrainer`; pictures as latents; LoRAs put on and taken off; the mean
squared error of `get_noise_pred_and_target` at fixed timesteps with fixed noise, which no loss option touches. Imports
what the trainer has (torch, numpy, Pillow, safetensors, its own `library` and `networks`) and nothing of ours.
Not: which options the base is loaded with (`measure`), talking to the judge (`trainers/measure_program`).
"""

from __future__ import annotations

import hashlib
import importlib
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy
import torch
from accelerate import Accelerator
from PIL import Image
from safetensors import safe_open

TIMESTEPS = (100, 250, 400, 550, 700, 850)
"""Of 1000: from nearly the picture to nearly noise."""
NETWORKS = re.compile(r"networks\.\w+|lycoris\.kohya")
"""Modules that a checkpoint's metadata may name: a file must not choose what is imported."""
STEP = 64
"""Sides in px are multiples of it, as SDXL wants."""


class Measure:
    def __init__(self, setup: Mapping[str, Any], pictures: Sequence[Mapping[str, str]]) -> None:
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
        folder, script = os.path.split(setup["script"])
        sys.path.insert(0, folder)
        module = importlib.import_module(os.path.splitext(script)[0])
        general = importlib.import_module("train_network").NetworkTrainer
        strategy = importlib.import_module("library.strategy_base")
        own = [each for each in vars(module).values() if isinstance(each, type) and issubclass(each, general)]
        self.trainer = next(each for each in own if each.__module__ == module.__name__)()
        self.args: Any = module.setup_parser().parse_args([])
        vars(self.args).update(setup["options"])
        self.accelerator = Accelerator(mixed_precision=self.args.mixed_precision)
        util = importlib.import_module("library.train_util")
        self.dtype, _ = util.prepare_dtype(self.args)
        self.tokenize = self.trainer.get_tokenize_strategy(self.args)
        strategy.TokenizeStrategy.set_strategy(self.tokenize)
        strategy.LatentsCachingStrategy.set_strategy(self.trainer.get_latents_caching_strategy(self.args))
        _, self.text_encoder, self.vae, self.unet = self.trainer.load_target_model(
            self.args, self.dtype, self.accelerator
        )
        self.encode = self.trainer.get_text_encoding_strategy(self.args)
        strategy.TextEncodingStrategy.set_strategy(self.encode)
        many = isinstance(self.text_encoder, list)
        self.text_encoders = self.text_encoder if many else [self.text_encoder]
        self.scheduler = self.trainer.get_noise_scheduler(self.args, self.accelerator.device)
        self.pictures = {each["name"]: self._latents(each, setup["pixels"]) for each in pictures}
        for model in (*self.text_encoders, self.unet):
            model.to(self.accelerator.device, dtype=self.dtype)
            model.requires_grad_(False)
            model.eval()

    def _latents(self, picture: Mapping[str, str], pixels: int) -> tuple[Any, dict[str, Any], str]:
        """(latents, what the model is told of the sizes, caption). In 32 bit: it is done once for each picture, and
        the VAE of SDXL has NaN in 16."""
        device = self.accelerator.device
        image, sizes = fitted(picture["path"], pixels)
        values = torch.from_numpy(image).permute(2, 0, 1)[None].to(device, torch.float32) / 127.5 - 1
        self.vae.to(device, dtype=torch.float32)
        self.vae.requires_grad_(False)
        self.vae.eval()
        torch.manual_seed(seed_of(picture["name"], -1))
        with torch.no_grad():
            latents = self.trainer.encode_images_to_latents(self.args, self.vae, values)
            latents = self.trainer.shift_scale_latents(self.args, latents)
        self.vae.to("cpu")
        return latents, {name: torch.tensor([pair]) for name, pair in sizes.items()}, picture["caption"]

    def scores(self, checkpoint: str, items: Sequence[str]) -> Iterator[tuple[str, float]]:
        before = [(each, vars(each).get("forward")) for model in (self.unet, *self.text_encoders)
                  for each in model.modules()]  # fmt: skip
        try:
            network = self._apply(checkpoint) if checkpoint else None
            with torch.no_grad():
                for item in items:
                    yield item, self._error(item, network)
        finally:
            for each, forward in before:
                if forward is None:
                    vars(each).pop("forward", None)
                else:
                    each.forward = forward

    def _apply(self, file: str) -> Any:
        with safe_open(file, "pt") as opened:
            name = (opened.metadata() or {}).get("ss_network_module", "networks.lora")
        if not NETWORKS.fullmatch(name):
            raise ValueError(f"its network_module is {name!r}, which is not measured")
        module = importlib.import_module(name)
        network, weights = module.create_network_from_weights(
            1.0, file, self.vae, self.text_encoder, self.unet, for_inference=True
        )
        network.apply_to(self.text_encoder, self.unet, True, True)
        result = network.load_state_dict(weights, strict=False)
        if result.missing_keys or len(result.unexpected_keys) == len(weights):
            raise ValueError("its weights do not fit the base model")
        network.to(self.accelerator.device)
        network.requires_grad_(False)
        network.eval()
        return network

    def _error(self, item: str, network: Any) -> float:
        """The mean over the timesteps; the same noise for every checkpoint."""
        latents, sizes, caption = self.pictures[item]
        device, args = self.accelerator.device, self.args
        models = self.trainer.get_models_for_text_encoding(args, self.accelerator, self.text_encoders)
        tokens = [each.to(device) for each in self.tokenize.tokenize(caption)]
        with self.accelerator.autocast():
            words = self.encode.encode_tokens(self.tokenize, models, tokens)
        errors = []
        for timestep in TIMESTEPS:
            args.min_timestep, args.max_timestep = timestep, timestep + 1
            torch.manual_seed(seed_of(item, timestep))
            predicted, target, _, _ = self.trainer.get_noise_pred_and_target(
                args, self.accelerator, self.scheduler, latents.clone(), dict(sizes), words, self.unet, network,
                self.dtype, False, is_train=False,
            )  # fmt: skip
            errors.append(float((predicted.float() - target.float()).square().mean()))
        return sum(errors) / len(errors)


def seed_of(item: str, timestep: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{item} {timestep}".encode()).digest()[:4], "big")


def fitted(path: str, pixels: int) -> tuple[Any, dict[str, tuple[int, int]]]:
    """A picture scaled and cut in its middle to about so many pixels, its shape kept, and its sizes (height, width)."""
    with Image.open(path) as opened:
        image = opened.convert("RGB")
    scale = (pixels / (image.width * image.height)) ** 0.5
    width, height = (max(STEP, int(side * scale + STEP / 2) // STEP * STEP) for side in image.size)
    factor = max(width / image.width, height / image.height)
    size = max(width, round(image.width * factor)), max(height, round(image.height * factor))
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    cut = image.resize(size, Image.Resampling.LANCZOS).crop((left, top, left + width, top + height))
    sizes = {"original_sizes_hw": (image.height, image.width), "crop_top_lefts": (top, left),
             "target_sizes_hw": (height, width)}  # fmt: skip
    return numpy.array(cut), sizes
