"""The tiny trainer's plain error on held-out pictures, for every checkpoint by the same noise and noise levels.

Covers: the frozen base made once, each LoRA's tensors put into it and taken out again. Loaded by path, as the `module`
of a measure.json. Not: the model (`model`), talking to the judge.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

if TYPE_CHECKING:
    from . import image_dataset, model
else:
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    import image_dataset
    import model

LEVELS = (100, 250, 400, 550, 700, 850)
"""Of 1000: from nearly the picture to nearly noise."""


class Measure:
    def __init__(self, setup: Mapping[str, Any], pictures: Sequence[Mapping[str, str]]) -> None:
        torch.set_num_threads(1)  # the model is small
        options = setup["options"]
        self.clip_skip = int(options.get("clip_skip") or 1)
        self.network = model.Network(1, 1, 0.0, unet=True, text=True, zero_snr=bool(options.get("zero_terminal_snr")))
        self.network.eval()
        side = image_dataset.side(int(setup["pixels"] ** 0.5))
        self.pictures = {each["name"]: (_latent(each["path"], side), each["caption"]) for each in pictures}

    def scores(self, checkpoint: str, items: Sequence[str]) -> Iterator[tuple[str, float]]:
        self._put_in(load_file(checkpoint) if checkpoint else {})
        with torch.no_grad():
            for item in items:
                yield item, self._error(item)

    def _put_in(self, tensors: Mapping[str, Tensor]) -> None:
        """A LoRA of any rank; a layer that it lacks changes nothing."""
        names = {name for name, _ in self.network.named_children()}
        if unknown := {key.split(".")[0] for key in tensors} - names:
            raise ValueError(f"its weights do not fit the base model: {min(unknown)}")
        loras: dict[str, Any] = dict(self.network.named_children())
        for name, lora in loras.items():
            down, up, alpha = (
                tensors.get(f"{name}.{part}") for part in ("lora_down.weight", "lora_up.weight", "alpha")
            )
            if down is None or up is None:
                nn.init.zeros_(lora.lora_up.weight)
                continue
            # All but the rank: the layer's inputs, a convolution's size, and its outputs.
            if down.shape[1:] != lora.lora_down.weight.shape[1:] or len(up) != len(lora.lora_up.weight):
                raise ValueError(f"its weights do not fit the base model: {name}")
            lora.lora_down.weight, lora.lora_up.weight = (nn.Parameter(each.float(), False) for each in (down, up))
            lora.scale = (float(alpha) if alpha is not None else down.shape[0]) / down.shape[0]

    def _error(self, item: str) -> float:
        latent, caption = self.pictures[item]
        errors = []
        for level in LEVELS:
            noise = torch.randn(latent.shape, generator=torch.Generator().manual_seed(_seed(item, level)))
            a, s = (float(each[level]) for each in self.network.schedule)
            velocity = self.network(a * latent + s * noise, torch.tensor([level]), [caption], self.clip_skip)
            errors.append(float((velocity - (a * noise - s * latent)).square().mean()))
        return sum(errors) / len(errors)


def _latent(path: str, side: int) -> Tensor:
    with Image.open(path) as image:
        small = image.convert("RGB").resize((side, side), Image.Resampling.BICUBIC)
    pixels = torch.frombuffer(bytearray(small.tobytes()), dtype=torch.uint8)
    return pixels.view(side, side, 3).permute(2, 0, 1)[None] / 127.5 - 1


def _seed(item: str, level: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{item} {level}".encode()).digest()[:4], "big")
