"""Train the tiny trainer's base model anew and write its weights beside this file.

    python -m automate_train.trainers.tiny.make_base [--steps 3000] [--out FILE]

Covers: pictures drawn by `scenes`, captions with parts left out, their order changed and words added that mean nothing,
the mean of the weights over the last steps. The written file's metadata says how it was made and how long that took.
Not: LoRA (`train_network`).
"""

from __future__ import annotations

import argparse
import copy
import math
import random
import time
from itertools import product
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from . import base_model, scenes

BATCH, RATE, PICTURES = 32, 2e-3, 6000


def draw_pictures(rng: random.Random, count: int) -> tuple[Tensor, list[list[str]]]:
    """`(count, 3, 48, 48)` in 0..255, and each picture's caption in parts."""
    points = list(product(scenes.KINDS, scenes.COLOURS, scenes.SKIES, scenes.GROUNDS))
    pixels, captions = torch.empty(count, 3, scenes.SMALL, scenes.SMALL, dtype=torch.uint8), []
    for number in range(count):
        point = points[number % len(points)]
        flat = torch.frombuffer(bytearray(scenes.scene(rng, *point).tobytes()), dtype=torch.uint8)
        pixels[number] = flat.view(scenes.SMALL, scenes.SMALL, 3).permute(2, 0, 1)
        captions.append(scenes.caption(*point).split(", "))
    return pixels, captions


def changed(rng: random.Random, parts: list[str]) -> str:
    """A caption as people write it: one in ten is empty, one part in twelve is left out, one caption in two has words
    that say nothing about the picture."""
    if rng.random() < 0.1:
        return ""
    kept = [part for part in parts if rng.random() > 0.08]
    if rng.random() < 0.5:
        kept += [f"word{rng.randrange(10**6)}" for _ in range(rng.randint(1, 3))]
    rng.shuffle(kept)
    return ", ".join(kept)


def noise_levels(count: int) -> Tensor:
    """Two in three near the middle, where it is decided what is drawn; the others anywhere."""
    middle = torch.randn(count).sigmoid()
    return (torch.where(torch.rand(count) < 2 / 3, middle, torch.rand(count)) * 1000).long().clamp(0, 999)


def train(steps: int) -> dict[str, Tensor]:
    """The mean weights over the last steps, in half precision."""
    rng = random.Random(0)
    torch.manual_seed(0)
    pixels, captions = draw_pictures(rng, PICTURES)
    model = nn.ModuleDict({"unet": base_model.Denoiser(), "text_encoder": base_model.TextEncoder()})
    mean = copy.deepcopy(model)
    optimizer = torch.optim.AdamW(model.parameters(), RATE, weight_decay=0.01)
    began = time.monotonic()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / 100) * (0.5 + 0.5 * math.cos(math.pi * step / steps))
        chosen = [rng.randrange(len(captions)) for _ in range(BATCH)]
        clean = pixels[chosen].float() / 127.5 - 1
        level = noise_levels(BATCH)
        a, s = (share[:, None, None, None] for share in base_model.shares(level))
        noise = torch.randn_like(clean)
        words = model["text_encoder"]([changed(rng, captions[number]) for number in chosen], 1)
        loss = F.mse_loss(model["unet"](a * clean + s * noise, level, words), a * noise - s * clean)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            keep = min(0.995, (step + 1) / (step + 10))
            torch._foreach_lerp_(list(mean.parameters()), list(model.parameters()), 1 - keep)
        if step % 50 == 49:
            print(f"step {step + 1}/{steps}  loss {loss.item():.4f}  {time.monotonic() - began:.0f} s", flush=True)
    return {name: tensor.half().contiguous() for name, tensor in mean.state_dict().items()}


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the tiny trainer's base model anew.")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--out", type=Path, default=base_model.WEIGHTS)
    args = parser.parse_args()
    began = time.process_time()
    weights = train(args.steps)
    command = f"python -m automate_train.trainers.tiny.make_base --steps {args.steps}"
    save_file(weights, args.out, {"command": command, "cpu_minutes": f"{(time.process_time() - began) / 60:.1f}"})


if __name__ == "__main__":
    main()
