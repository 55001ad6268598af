"""What is to be drawn: the pictures of a checkpoint, or the baselines of a prompt file.

Covers: the variants of a prompt (its weights, its baseline), one planned sample, the batch that goes to one server
together. Data only. Not: which are wanted (`planner`), where the pictures go (`image_store`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..config.prompts import Prompt
from ..records import Checkpoint
from .servers.protocol import Lora, SampleRequest


@dataclass(frozen=True)
class Variant:
    """One picture of a prompt file."""

    number: int
    """Which prompt: its place in the file, from 0."""
    weight: float | None = None
    """The LoRA's weight; None: as the prompt itself says, else 1."""
    baseline: bool = False
    """Without the LoRA: the same picture for every checkpoint of a sweep."""

    @property
    def mark(self) -> str:
        """Its part of a file name: `00`, `00_w0.6` or `00_baseline`."""
        weight = "" if self.weight is None else f"_w{self.weight:g}"
        return f"{self.number:02d}{'_baseline' if self.baseline else weight}"


def variants(prompts: Sequence[Prompt]) -> list[Variant]:
    """Every picture: prompt by prompt, its weights as written, its baseline last."""
    return [
        variant
        for number, prompt in enumerate(prompts)
        for variant in (
            *(Variant(number, weight) for weight in prompt.weights or (None,)),
            *([Variant(number, baseline=True)] if prompt.baseline else []),
        )
    ]


def prompt_key(number: int, prompt: Prompt) -> str:
    """What a drawn seed belongs to: a prompt's place and words. So the pictures of a whole sweep can be compared."""
    words = f"{prompt.text}\0{prompt.negative}"
    return f"{number}:{hashlib.sha256(words.encode()).hexdigest()[:16]}"


@dataclass(frozen=True)
class PlannedSample:
    png: Path
    """`<checkpoint>_00[_w0.6][_p1a2b].png`"""
    prompt: Prompt
    variant: Variant
    seed: int
    prompt_digest: str = ""
    """sha256 of the prompt file."""
    baseline: Path | None = None
    """The same picture without the LoRA, where the prompt wants one too."""

    @property
    def seed_key(self) -> str:
        """The journal's name of the seed, where one was drawn; empty for a prompt with a seed of its own."""
        return "" if self.prompt.seed is not None else prompt_key(self.variant.number, self.prompt)

    @property
    def json(self) -> Path:
        return self.png.with_name(f"{self.png.stem}.json")

    def request(self, lora: Lora | None) -> SampleRequest:
        baseline = self.variant.baseline
        return SampleRequest(self.prompt, self.seed, None if baseline else lora, self.variant.weight)


@dataclass(frozen=True)
class Batch:
    """What goes to one server together."""

    id: str
    """The same in every session: by it a restarted sampler finds what it has left on a server."""
    samples: tuple[PlannedSample, ...]
    checkpoint: Checkpoint | None = None
    """None: baselines."""
    file: Path | None = None
    """A link of ours to the checkpoint, which the trainer may delete meanwhile."""
    run_key: str = ""
    attempt: int = 0
    final: Path | None = None
    """The file that a waiting training looks for: it goes on when the file is there."""
