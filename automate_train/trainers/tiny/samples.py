"""The tiny trainer's sample images: prompts in sd-scripts' forms, PNGs under sd-scripts' names.

Covers: prompt files (.txt with `--n --w --h --d --s --l`, .toml, .json), when samples are due, `output_dir/sample/`.
Not: the sampler's name, other switches of a prompt line: they are read and ignored.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

import toml
import torch
from accelerate import Accelerator
from PIL import Image

if TYPE_CHECKING:
    from . import model
else:
    import model  # beside this file

log = logging.getLogger(__name__)
Prompt = dict[str, str | float]
"""`prompt` and, where they are given, the values of SWITCHES."""
SWITCHES = {"n": "negative_prompt", "w": "width", "h": "height", "d": "seed", "s": "sample_steps", "l": "scale"}


def read_prompts(file: str) -> list[Prompt]:
    text = Path(file).read_text(encoding="utf-8")
    if file.endswith(".toml"):
        shared = toml.loads(text)["prompt"]
        return [{**shared, **subset} for subset in shared["subset"]]
    if file.endswith(".json"):
        return [_from_line(item) if isinstance(item, str) else dict(item) for item in json.loads(text)]
    return [_from_line(line.strip()) for line in text.splitlines() if line.strip() and not line.startswith("#")]


def _from_line(line: str) -> Prompt:
    prompt, *switches = line.split(" --")
    found: Prompt = {"prompt": prompt}
    for switch in switches:
        if (match := re.match(r"(\w+) (.+)", switch)) and (key := SWITCHES.get(match[1].lower())):
            number = re.fullmatch(r"\d+(\.\d+)?", match[2].strip())
            found[key] = match[2] if key == "negative_prompt" or number is None else float(match[2])
    return found


def due(args: argparse.Namespace, epoch: int | None, step: int) -> bool:
    """`epoch` is None after a step and 0 before the first; with an interval in epochs the one in steps is ignored."""
    if epoch == 0:
        return bool(args.sample_at_first)
    if args.sample_every_n_epochs is not None:
        return epoch is not None and epoch % args.sample_every_n_epochs == 0
    return args.sample_every_n_steps is not None and epoch is None and step % args.sample_every_n_steps == 0


def draw(
    args: argparse.Namespace, accelerator: Accelerator, network: model.Network, side: int, epoch: int | None, step: int
) -> None:
    """Sample each prompt when samples are due, in the main process alone, without changing the training's random
    numbers."""
    if not due(args, epoch, step) or not accelerator.is_main_process:
        return
    log.info("generating sample images at step / サンプル画像生成 ステップ: %s", step)
    if not os.path.isfile(args.sample_prompts or ""):
        log.error("No prompt file / プロンプトファイルがありません: %s", args.sample_prompts)
        return
    folder = Path(args.output_dir) / "sample"
    folder.mkdir(parents=True, exist_ok=True)
    state = torch.get_rng_state()
    network.eval()
    for number, prompt in enumerate(read_prompts(args.sample_prompts)):
        log.info("prompt: %s", prompt["prompt"])
        pixels = model.sample(network, prompt, side, args.clip_skip or 1)
        when = f"e{epoch:06d}" if epoch is not None else f"{step:06d}"
        seed = f"_{int(prompt['seed'])}" if prompt.get("seed") is not None else ""
        name = (
            f"{args.output_name + '_' if args.output_name else ''}{when}_{number:02d}_{time.strftime('%Y%m%d%H%M%S')}"
        )
        _write(pixels, prompt, folder / f"{name}{seed}.png")
    network.train()
    torch.set_rng_state(state)


def _write(pixels: torch.Tensor, prompt: Prompt, file: Path) -> None:
    """`pixels` is `(3, side, side)` in 0..1, NaN included (black); the PNG has the prompt's size, a multiple of 8."""
    side = pixels.shape[-1]
    data = bytes((pixels.nan_to_num() * 255).round().byte().permute(1, 2, 0).flatten().tolist())
    width, height = (max(64, int(prompt.get(key, 512)) // 8 * 8) for key in ("width", "height"))
    image = Image.frombytes("RGB", (side, side), data)
    image.resize((width, height), Image.Resampling.BICUBIC).save(file)
