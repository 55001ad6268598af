"""The tiny trainer's base model: a denoiser and a text encoder that have learned to draw simple scenes (`scenes`).

Covers: pictures `(batch, 3, side, side)` in -1..1, `side` a multiple of 8; a U-Net of three levels, with attention to
the words on the two coarser ones; layers named as Stable Diffusion names them, so that a LoRA's keys look like kohya's;
the weights beside this file. Not: a VAE (each 2 x 2 pixels are one place with 12 channels), a tokenizer (words that no
scene's caption has share rows of the table by their hash; the base model has learned to take no notice of them).
"""

from __future__ import annotations

import math
import zlib
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

WEIGHTS = Path(__file__).with_name("base.safetensors")
PATCH, WIDTHS, TEXT, WORDS = 2, (40, 80, 112), 64, 24
VARIANCE = 0.02
"""Of what is not known of a picture: where the noise's variance is smaller, the picture is taken as it is."""
KNOWN = (
    "boat house cat sail wall fur red blue green yellow white black violet morning noon evening night sky "
    "calm sea meadow sandy beach snow"
).split()
ROWS = 512
"""Of the table of words: 0 is no word, then KNOWN, then the words that are not known."""


class Attention(nn.Module):
    def __init__(self, width: int, context: int) -> None:
        super().__init__()
        self.q, self.out = nn.Linear(width, width, bias=False), nn.Linear(width, width, bias=False)
        self.k, self.v = nn.Linear(context, width, bias=False), nn.Linear(context, width, bias=False)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        heads = [t.unflatten(-1, (4, -1)).transpose(1, 2) for t in (self.q(x), self.k(context), self.v(context))]
        seen: Tensor = F.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(-2)
        out: Tensor = self.out(seen)
        return out


class TextBlock(nn.Module):
    """Self-attention and two layers: each adds to its input `(batch, WORDS, TEXT)`."""

    def __init__(self) -> None:
        super().__init__()
        self.attn, self.ff1, self.ff2 = Attention(TEXT, TEXT), nn.Linear(TEXT, 2 * TEXT), nn.Linear(2 * TEXT, TEXT)

    def forward(self, x: Tensor) -> Tensor:
        n = F.layer_norm(x, (TEXT,))
        h = x + self.attn(n, n)
        out: Tensor = h + self.ff2(F.gelu(self.ff1(h)))
        return out

    def layers(self) -> dict[str, nn.Module]:
        """Kohya's name of each layer inside the block -> the layer."""
        names: dict[str, nn.Module] = {f"self_attn_{n}_proj": getattr(self.attn, n) for n in ("q", "k", "v", "out")}
        return {**names, "mlp_fc1": self.ff1, "mlp_fc2": self.ff2}


class TextEncoder(nn.Module):
    """Captions -> `(batch, WORDS, TEXT)`. The words' order does not count, nor do commas and capitals."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(ROWS, TEXT)
        self.blocks = nn.ModuleList([TextBlock() for _ in range(2)])

    def forward(self, captions: list[str], clip_skip: int) -> Tensor:
        ids = torch.tensor([rows_of(caption) for caption in captions], device=self.table.weight.device)
        h: Tensor = self.table(ids)
        for block in self.blocks[: max(1, len(self.blocks) + 1 - clip_skip)]:
            h = block(h)
        return F.layer_norm(h, (TEXT,))

    def layers(self) -> dict[str, nn.Module]:
        blocks: list[Any] = list(self.blocks)
        found = [(f"text_model_encoder_layers_{n}", block.layers()) for n, block in enumerate(blocks)]
        return {f"{place}_{name}": layer for place, layers in found for name, layer in layers.items()}


def rows_of(caption: str) -> list[int]:
    """The table's row of each word, WORDS of them."""
    first = 1 + len(KNOWN)
    words = caption.replace(",", " ").lower().split()[:WORDS]
    rows = [1 + KNOWN.index(w) if w in KNOWN else first + zlib.crc32(w.encode()) % (ROWS - first) for w in words]
    return rows + [0] * (WORDS - len(rows))


def shares(level: Tensor) -> tuple[Tensor, Tensor]:
    """`(a, s)`, the shares of picture and noise at noise level 0..999: a quarter of a circle (arXiv 2102.09672)."""
    angle = (level + 0.5) * (math.pi / 2000)
    return angle.cos(), angle.sin()


def waves(values: Tensor, width: int) -> Tensor:
    """Sine and cosine of `values` at `width / 2` wavelengths, added at the end as one axis."""
    scale = torch.exp(torch.arange(width // 2, device=values.device) * (-math.log(1000.0) / (width // 2)))
    angles = values.float()[..., None] * scale
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


class Resnet(nn.Module):
    """Two convolutions; between them, scale and shift by the noise level and the caption."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(8, inputs), nn.GroupNorm(8, width)
        self.conv1, self.conv2 = nn.Conv2d(inputs, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)
        self.time_emb_proj = nn.Linear(2 * TEXT, 2 * width)
        self.conv_shortcut = nn.Conv2d(inputs, width, 1) if inputs != width else None

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        h: Tensor = self.conv1(F.silu(self.norm1(x)))
        scale, shift = self.time_emb_proj(condition)[:, :, None, None].chunk(2, dim=1)
        h = self.conv2(F.silu(self.norm2(h) * (1 + scale) + shift))
        return h + (x if self.conv_shortcut is None else self.conv_shortcut(x))

    def layers(self) -> dict[str, nn.Module]:
        found = {"conv1": self.conv1, "conv2": self.conv2, "conv_shortcut": self.conv_shortcut}
        return {name: layer for name, layer in found.items() if layer is not None}


class Transformer(nn.Module):
    """Self-attention over all places, attention to the words, two layers: each adds to its input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, width)
        self.proj_in, self.proj_out = nn.Linear(width, width), nn.Linear(width, width)
        self.attn1, self.attn2 = Attention(width, width), Attention(width, TEXT)
        self.ff1, self.ff2 = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x: Tensor, words: Tensor) -> Tensor:
        width = x.shape[1]
        h = self.proj_in(self.norm(x).flatten(2).transpose(1, 2))
        n = F.layer_norm(h, (width,))
        h = h + self.attn1(n, n)
        h = h + self.attn2(F.layer_norm(h, (width,)), words)
        h = h + self.ff2(F.gelu(self.ff1(h)))  # not normed: too high a learning rate ends in NaN, as in a real model
        added: Tensor = self.proj_out(h).transpose(1, 2).reshape_as(x)
        return x + added

    def layers(self) -> dict[str, nn.Module]:
        inner = "transformer_blocks_0"
        attention: dict[str, nn.Module] = {
            f"{inner}_{part}_to_{name}": getattr(getattr(self, part), name.removesuffix("_0"))
            for part in ("attn1", "attn2")
            for name in ("q", "k", "v", "out_0")
        }
        ends = {"proj_in": self.proj_in, "proj_out": self.proj_out}
        return {**attention, f"{inner}_ff_net_0_proj": self.ff1, f"{inner}_ff_net_2": self.ff2, **ends}


class Denoiser(nn.Module):
    """Noisy pictures, noise levels 0..999 `(batch,)` and words -> the velocity `a * noise - s * picture`, where `a` and
    `s` are the shares of picture and noise."""

    def __init__(self) -> None:
        super().__init__()
        fine, middle, coarse = WIDTHS
        self.time, self.caption = nn.Linear(TEXT, 2 * TEXT), nn.Linear(TEXT, 2 * TEXT)
        self.conv_in = nn.Conv2d(3 * PATCH**2, fine, 3, padding=1)
        self.norm_out = nn.GroupNorm(8, fine)
        self.conv_out = nn.Conv2d(fine, 3 * PATCH**2, 3, padding=1)
        self.down = nn.ModuleList(nn.Conv2d(a, b, 3, 2, 1) for a, b in ((fine, middle), (middle, coarse)))
        self.resnets = nn.ModuleDict({
            "down_blocks_0": Resnet(fine, fine),
            "down_blocks_1": Resnet(middle, middle),
            "mid_block": Resnet(coarse, coarse),
            "up_blocks_0": Resnet(coarse + middle, middle),
            "up_blocks_1": Resnet(middle + fine, fine),
        })  # fmt: skip
        widths = {"down_blocks_1": middle, "mid_block": coarse, "up_blocks_0": middle}
        self.transformers = nn.ModuleDict({name: Transformer(width) for name, width in widths.items()})

    def forward(self, x: Tensor, level: Tensor, words: Tensor) -> Tensor:
        condition = F.silu(self.time(waves(level, TEXT)) + self.caption(words.mean(1)))
        fine = self._block("down_blocks_0", self.conv_in(F.pixel_unshuffle(x, PATCH)), condition, words)
        middle = self._block("down_blocks_1", self.down[0](fine), condition, words)
        h = self._block("mid_block", self.down[1](middle), condition, words)
        h = self._block("up_blocks_0", _beside(h, middle), condition, words)
        h = self._block("up_blocks_1", _beside(h, fine), condition, words)
        out: Tensor = F.pixel_shuffle(self.conv_out(F.silu(self.norm_out(h))), PATCH)
        return out.float()

    def _block(self, name: str, x: Tensor, condition: Tensor, words: Tensor) -> Tensor:
        h: Tensor = self.resnets[name](x, condition)
        return self.transformers[name](h, words) if name in self.transformers else h

    def layers(self) -> dict[str, nn.Module]:
        """Kohya's name of each layer that may have a LoRA -> the layer."""
        blocks: dict[str, Any] = {f"{name}_resnets_0": block for name, block in self.resnets.items()}
        blocks |= {f"{name}_attentions_0": block for name, block in self.transformers.items()}
        return {f"{place}_{name}": layer for place, block in blocks.items() for name, layer in block.layers().items()}


def _beside(coarse: Tensor, fine: Tensor) -> Tensor:
    """Both as channels of one picture of the finer one's size."""
    return torch.cat([F.interpolate(coarse, fine.shape[-2:]), fine], dim=1)


def load() -> tuple[Denoiser, TextEncoder]:
    """The frozen base model, in single precision."""
    with torch.device("meta"):  # no time for weights that are replaced, and no random numbers
        parts = nn.ModuleDict({"unet": Denoiser(), "text_encoder": TextEncoder()})
    parts.load_state_dict({name: tensor.float() for name, tensor in load_file(WEIGHTS).items()}, assign=True)
    parts.requires_grad_(False)
    return parts["unet"], parts["text_encoder"]  # type: ignore[return-value]
