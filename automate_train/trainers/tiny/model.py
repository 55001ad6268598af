"""What the tiny trainer trains and draws with: LoRA on the frozen base model's layers, noise, sampling.

Covers: LoRA on linear layers and convolutions of the denoiser and on the text encoder, under kohya's names; the noise
schedule; DDIM sampling. Not: the base model itself (`base_model`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from . import base_model
else:
    import base_model  # beside this file


class LoRA(nn.Module):
    """`up(down(x)) * alpha / dim`, added to a frozen layer's output. `up` starts at zero: no change at first."""

    def __init__(self, layer: Any, dim: int, alpha: float, dropout: float) -> None:
        super().__init__()
        if isinstance(layer, nn.Conv2d):
            size: Any = {"kernel_size": layer.kernel_size, "stride": layer.stride, "padding": layer.padding}
            self.lora_down: nn.Module = nn.Conv2d(layer.in_channels, dim, **size, bias=False)
            self.lora_up: nn.Module = nn.Conv2d(dim, layer.out_channels, 1, bias=False)
        else:
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
        # In a plain tuple, so that torch counts them neither as parameters nor as state.
        self.frozen = base_model.load()
        denoiser, text_encoder = self.frozen
        layers = {f"lora_unet_{name}": layer for name, layer in denoiser.layers().items() if unet}
        layers |= {f"lora_te_{name}": layer for name, layer in text_encoder.layers().items() if text}
        for name, layer in layers.items():
            self.add_module(name, LoRA(layer, dim, alpha, dropout))

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
        velocity: Tensor = denoiser(x, level, text_encoder(captions, clip_skip))
        return velocity


def noise_schedule(zero_terminal_snr: bool) -> tuple[Tensor, Tensor]:
    """`(a, s)` for levels 0..999: noisy = a * picture + s * noise. With zero_terminal_snr `a` is shifted and scaled so
    that the last level is noise alone (arXiv 2305.08891)."""
    a, s = base_model.shares(torch.arange(1000))
    if zero_terminal_snr:
        a = (a - a[-1]) * a[0] / (a[0] - a[-1])
        s = (1 - a**2).sqrt()
    return a, s


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
