"""The tiny trainer's network: a frozen denoiser and text encoder, LoRA on their linear layers, noise, sampling.

Covers: latents `(batch, 3, side, side)` in -1..1, a quarter of the picture's side, cut into tokens of 2 x 2; three
transformer blocks named as Stable Diffusion names them, so that a LoRA's keys look like kohya's; DDIM sampling.
Not: a pretrained model (the weights are random, the same at every start), a VAE, convolutions, a tokenizer (words are
hashed): what is learned is blurry and means nothing beyond this folder.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTH, PATCH, WORDS, VOCABULARY = 64, 2, 24, 4096
VARIANCE = 0.05
"""What the base model assumes for a latent's variance: less than it is, so that its samples are grey and smooth."""
BASE_SEED = 20260101
UNET_BLOCKS = ("down_blocks_0_attentions_0", "mid_block_attentions_0", "up_blocks_1_attentions_0")


def linear(inputs: int, outputs: int, scale: float = 0.5) -> nn.Linear:
    """A frozen random layer."""
    layer = nn.Linear(inputs, outputs, bias=False)
    nn.init.normal_(layer.weight, std=scale / math.sqrt(inputs))
    return layer.requires_grad_(False)


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v, self.out = (linear(WIDTH, WIDTH) for _ in range(4))

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        heads = [t.unflatten(-1, (4, -1)).transpose(1, 2) for t in (self.q(x), self.k(context), self.v(context))]
        seen: Tensor = F.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(-2)
        out: Tensor = self.out(seen)
        return out


class Block(nn.Module):
    """Self-attention, attention to the words (in the denoiser), two layers: each adds to its input."""

    def __init__(self, with_words: bool) -> None:
        super().__init__()
        self.attn1, self.ff1, self.ff2 = Attention(), linear(WIDTH, 2 * WIDTH), linear(2 * WIDTH, WIDTH)
        self.attn2 = Attention() if with_words else None
        self.proj_in = linear(WIDTH, WIDTH) if with_words else None
        self.proj_out = linear(WIDTH, WIDTH, scale=0.02) if with_words else None  # the base model adds almost nothing

    def forward(self, x: Tensor, words: Tensor) -> Tensor:
        h: Tensor = self.proj_in(x) + x if self.proj_in is not None else x
        n = F.layer_norm(h, (WIDTH,))
        h = h + self.attn1(n, n)
        if self.attn2 is not None:
            h = h + self.attn2(F.layer_norm(h, (WIDTH,)), words)
        h = h + self.ff2(F.gelu(self.ff1(h)))  # not normed: too high a learning rate ends in NaN, as in a real model
        return x + self.proj_out(h) if self.proj_out is not None else h

    def layers(self, text: bool) -> dict[str, nn.Linear]:
        """Kohya's name of each layer inside the block -> the layer."""
        if text:
            names = {f"self_attn_{name}_proj": getattr(self.attn1, name) for name in ("q", "k", "v", "out")}
            return {**names, "mlp_fc1": self.ff1, "mlp_fc2": self.ff2}
        inner = "transformer_blocks_0"
        attention = {
            f"{inner}_{part}_to_{name}": getattr(getattr(self, part), name.removesuffix("_0"))
            for part in ("attn1", "attn2")
            for name in ("q", "k", "v", "out_0")
        }
        ends = {"proj_in": self.proj_in, "proj_out": self.proj_out}
        return {**attention, f"{inner}_ff_net_0_proj": self.ff1, f"{inner}_ff_net_2": self.ff2, **ends}


class TextEncoder(nn.Module):
    """Captions -> `(batch, WORDS, WIDTH)`; a word is a row of a random table, by its hash."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("table", torch.randn(VOCABULARY, WIDTH))
        self.blocks = nn.ModuleList([Block(with_words=False) for _ in range(2)])

    def forward(self, captions: list[str], clip_skip: int) -> Tensor:
        ids = torch.zeros(len(captions), WORDS, dtype=torch.long)
        for row, caption in enumerate(captions):
            for place, word in enumerate(caption.replace(",", " ").lower().split()[:WORDS]):
                ids[row, place] = 1 + zlib.crc32(word.encode()) % (VOCABULARY - 1)
        table: Tensor = self.get_buffer("table")
        h = table[ids.to(table.device)]
        for block in self.blocks[: max(1, len(self.blocks) + 1 - clip_skip)]:
            h = block(h, h)
        return F.layer_norm(h, (WIDTH,))


def waves(values: Tensor, width: int) -> Tensor:
    """Sine and cosine of `values` at `width / 2` wavelengths, added at the end as one axis."""
    scale = torch.exp(torch.arange(width // 2, device=values.device) * (-math.log(1000.0) / (width // 2)))
    angles = values.float()[..., None] * scale
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


class Denoiser(nn.Module):
    """Noisy images, their shares `a` and `s` of image and noise `(batch, 1, 1, 1)`, noise levels `(batch,)` and words
    -> the velocity `a * noise - s * image`: a smooth estimate, corrected by the blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_in = nn.Parameter(nn.init.orthogonal_(torch.empty(WIDTH, 3 * PATCH**2)), requires_grad=False)
        self.blocks = nn.ModuleDict({name: Block(with_words=True) for name in UNET_BLOCKS})

    def forward(self, x: Tensor, a: Tensor, s: Tensor, level: Tensor, words: Tensor) -> Tensor:
        side = x.shape[-1]
        places = waves(torch.arange(side // PATCH, device=x.device), WIDTH // 2)
        rows, columns = places[:, None].expand(-1, len(places), -1), places[None].expand(len(places), -1, -1)
        h = F.unfold(a * x, PATCH, stride=PATCH).transpose(1, 2) @ self.conv_in.T
        h = h + torch.cat([rows, columns], dim=-1).flatten(0, 1) + (waves(level, WIDTH) + words.mean(1))[:, None]
        start = h
        for block in self.blocks.values():
            h = block(h, words)
        tokens = ((h - start) @ self.conv_in).transpose(1, 2)
        picture = F.fold(tokens.float(), (side, side), PATCH, stride=PATCH)
        # The first term is the best estimate when images are noise of that variance; the blocks add their correction.
        return s * (a * (1 - VARIANCE) * x.float() - picture) / (VARIANCE * a**2 + s**2)


class LoRA(nn.Module):
    """`up(down(x)) * alpha / dim`, added to a frozen layer's output. `up` starts at zero: no change at first."""

    def __init__(self, layer: nn.Linear, dim: int, alpha: float, dropout: float) -> None:
        super().__init__()
        self.lora_down = nn.Linear(layer.in_features, dim, bias=False)
        self.lora_up = nn.Linear(dim, layer.out_features, bias=False)
        nn.init.kaiming_uniform_(self.lora_down.weight, a=math.sqrt(5))
        nn.init.zeros_(self.lora_up.weight)
        self.register_buffer("alpha", torch.tensor(float(alpha)))
        self.scale, self.dropout = float(alpha) / dim, dropout
        layer.register_forward_hook(lambda _, inputs, output: output + self(inputs[0]))

    def forward(self, x: Tensor) -> Tensor:
        up: Tensor = self.lora_up(F.dropout(self.lora_down(x), self.dropout, self.training))
        return up * self.scale


class Network(nn.Module):
    """Its parameters and its state dict are the LoRAs alone, under kohya's names: only they are trained."""

    def __init__(self, dim: int, alpha: float, dropout: float, unet: bool, text: bool, zero_snr: bool) -> None:
        super().__init__()
        self.schedule = noise_schedule(zero_snr)
        state = torch.get_rng_state()
        torch.manual_seed(BASE_SEED)
        frozen = Denoiser(), TextEncoder()
        torch.set_rng_state(state)
        # In a plain tuple, so that torch counts them neither as parameters nor as state.
        self.frozen: tuple[Denoiser, TextEncoder] = frozen
        blocks: list[tuple[str, Any, bool]] = [(name, block, False) for name, block in frozen[0].blocks.items() if unet]
        blocks += [(f"text_model_encoder_layers_{n}", block, True) for n, block in enumerate(frozen[1].blocks) if text]
        for place, block, is_text in blocks:
            for name, layer in block.layers(is_text).items():
                self.add_module(f"lora_{'te' if is_text else 'unet'}_{place}_{name}", LoRA(layer, dim, alpha, dropout))

    def place(self, device: torch.device) -> None:
        """Move the frozen parts, which torch does not count as the network's."""
        for part in self.frozen:
            part.to(device)
        self.schedule = (self.schedule[0].to(device), self.schedule[1].to(device))

    def of(self, kind: str) -> list[nn.Parameter]:
        """The parameters of the `unet` or of the `te`."""
        return [p for name, p in self.named_parameters() if name.startswith(f"lora_{kind}_")]

    def forward(self, x: Tensor, level: Tensor, captions: list[str], clip_skip: int) -> Tensor:
        denoiser, text_encoder = self.frozen
        a, s = (t[level][:, None, None, None] for t in self.schedule)
        velocity: Tensor = denoiser(x, a, s, level, text_encoder(captions, clip_skip))
        return velocity


def noise_schedule(zero_terminal_snr: bool) -> tuple[Tensor, Tensor]:
    """`(a, s)` for levels 0..999: noisy = a * image + s * noise. Stable Diffusion's `scaled linear` betas;
    with zero_terminal_snr `a` is shifted and scaled so that the last level is noise alone (arXiv 2305.08891)."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    a = torch.cumprod(1 - betas, 0).sqrt()
    if zero_terminal_snr:
        a = (a - a[-1]) * a[0] / (a[0] - a[-1])
    return a, (1 - a**2).sqrt()


@torch.no_grad()
def sample(network: Network, prompt: Mapping[str, str | float], side: int, clip_skip: int) -> Tensor:
    """One image `(3, side, side)` in 0..1 by DDIM (arXiv 2010.02502) with classifier-free guidance. The prompt's
    keys: prompt, negative_prompt, seed, sample_steps, scale."""
    device = next(network.parameters()).device
    seed = prompt.get("seed")
    generator = torch.Generator().manual_seed(int(seed)) if seed is not None else None
    x = torch.randn(1, 3, side, side, generator=generator).to(device)
    words = [str(prompt.get("negative_prompt") or ""), str(prompt.get("prompt") or "")]
    scale, steps = float(prompt.get("scale", 7.5)), int(prompt.get("sample_steps", 30))
    levels = torch.linspace(999, 0, steps + 1).round().long()
    for now, after in pairwise(levels):
        (a, a_after), (s, s_after) = ([float(t[now]), float(t[after])] for t in network.schedule)
        without, with_ = network(x.expand(2, -1, -1, -1), now.expand(2).to(device), words, clip_skip)
        velocity = without + scale * (with_ - without)
        picture = (a * x - s * velocity).clamp(-1, 1)
        x = a_after * picture + s_after * (x - a * picture) / max(s, 1e-6)
    return (x[0].clamp(-1, 1) / 2 + 0.5).cpu()
