"""Sample pictures on the disk, each there once and whole.

Covers: writing a picture and then its JSON file, which says that the picture is made (or why it never will be); the end
of a batch. Not: where pictures come from (`generator`), which are wanted (`planner`).
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..store.files import read_json, write
from .batch import Batch, PlannedSample
from .servers.protocol import Picture


@dataclass(frozen=True)
class Result:
    """What has become of a planned sample."""

    state: str
    """done, base model only, wrong checkpoint or failed."""
    reason: str = ""
    """Why it is not done."""
    server: str = ""
    lora: str | None = None
    """The LoRA's name on the server."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """What was sent."""
    picture: Picture | None = None


class ImageStore:
    """Where the threads of all servers put their pictures; nothing is written twice."""

    def __init__(self, redo_failed: bool) -> None:
        """`redo_failed`: what an earlier session marked as anything but done is made once more."""
        self._redo_failed = redo_failed
        self.states: dict[str, int] = {}
        """State -> number of pictures of this session."""
        self._kept: set[Path] = set()
        self._lock = threading.Lock()

    def is_missing(self, sample: PlannedSample) -> bool:
        if sample.png in self._kept:
            return False
        state = state_of(sample.json)
        return state is None or (self._redo_failed and state != "done")

    def put(self, batch: Batch, sample: PlannedSample, result: Result) -> bool:
        """Write the picture, or the mark that there is none. False: it was there already."""
        with self._lock:
            if not self.is_missing(sample):
                return False
            sample.png.parent.mkdir(parents=True, exist_ok=True)
            if result.picture is None:
                sample.png.unlink(missing_ok=True)
            else:
                write(sample.png, result.picture.png, durable=True)
            about = json.dumps(_about(batch, sample, result), ensure_ascii=False, indent=1)
            write(sample.json, about, durable=True)
            self._kept.add(sample.png)
            self.states[result.state] = self.states.get(result.state, 0) + 1
        return True

    def close(self, batch: Batch) -> None:
        """Every picture of it is made, or never will be."""
        self.let_training_go_on(batch, "final\n")
        if batch.file is not None:
            batch.file.unlink(missing_ok=True)

    def let_training_go_on(self, batch: Batch, reason: str) -> None:
        """A training that waits for its samples goes on when it sees this file."""
        if batch.final is not None:
            batch.final.parent.mkdir(parents=True, exist_ok=True)
            write(batch.final, reason, durable=True)


def _about(batch: Batch, sample: PlannedSample, result: Result) -> dict[str, Any]:
    """A picture's JSON file, without a byte of the images that were sent."""
    words, negative = sample.prompt.words()
    checkpoint = batch.checkpoint
    return {
        "prompt": sample.variant.number,
        "words": words,  # without the LoRA: the same for all checkpoints
        "text": result.parameters.get("prompt", words),
        "negative": result.parameters.get("negative_prompt", negative),
        "seed": sample.seed,
        "prompt_key": sample.seed_key,
        "prompt_digest": sample.prompt_digest,
        "parameters": dict(result.parameters),
        "infotext": result.picture.infotext if result.picture else "",
        "server": result.server,
        "checkpoint": os.path.basename(checkpoint.path) if checkpoint else None,
        "epoch": checkpoint.epoch if checkpoint else None,
        "step": checkpoint.step if checkpoint else None,
        "weight": sample.variant.weight,
        "lora": result.lora,
        "baseline": sample.variant.baseline,
        "state": result.state,
        "reason": result.reason,
        "png": sample.png.name if result.picture else None,
        "at": round(time.time(), 3),
    }


def state_of(file: Path) -> str | None:
    """What a picture's JSON file says; None where there is none that can be read."""
    found = read_json(file) or {}
    return str(found["state"]) if "state" in found else None
