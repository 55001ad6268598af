"""Sample pictures on the disk, each there once and whole.

Covers: writing a picture and then its JSON file, which says that the picture is made (or why it never will be); what
came with it and was not asked for; pictures that equal their baseline; how many there are; the end of a batch. Not:
where pictures come from (`generator`), which are wanted (`planner`).
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..config.masking import Masker
from ..store.files import read_json, write
from ..store.layout import SweepFolder
from .batch import Batch, PlannedSample
from .servers.png import same_pixels
from .servers.protocol import Picture

NO_EFFECT = "equal to its baseline in every pixel: the LoRA was read and did nothing"


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
    parameters: Mapping[str, object] = field(default_factory=dict)
    """What was sent."""
    base_model: str = ""
    picture: Picture | None = None


class ImageStore:
    """Where the threads of all servers put their pictures; nothing is written twice."""

    def __init__(self, folder: SweepFolder, say: Callable[[str], None], masker: Masker) -> None:
        """`masker`: what a server says of a picture is written beside it, and may hold a password."""
        self._say, self._masker = say, masker
        self._states = dict(_states(folder))
        """PNG that is made, or never will be -> its state, of all pictures of the sweep."""
        self.planned: set[Path] = set()
        """Those that this session makes."""
        self._uncompared: dict[Path, list[PlannedSample]] = {}
        """Baseline that is not there yet -> pictures that are to be compared with it."""
        self._lock = threading.Lock()

    def to_make(self, samples: Iterable[PlannedSample]) -> tuple[PlannedSample, ...]:
        """Those that are not done; what an earlier session has marked as failed is made once more."""
        return tuple(each for each in samples if self._states.get(each.png) != "done")

    def begin(self, samples: Iterable[PlannedSample]) -> None:
        """They are made now, whatever an earlier session has written of them."""
        for each in samples:
            self.planned.add(each.png)
            self._states.pop(each.png, None)

    def is_missing(self, sample: PlannedSample) -> bool:
        return sample.png not in self._states

    @property
    def counts(self) -> Counter[str]:
        """State -> number of the sweep's pictures."""
        return Counter(list(self._states.values()))

    @property
    def left(self) -> int:
        """How many this session is still to make."""
        return sum(png not in self._states for png in list(self.planned))

    @property
    def all_done(self) -> bool:
        """Of those that this session makes."""
        return all(self._states.get(png) == "done" for png in self.planned)

    def put(self, batch: Batch, sample: PlannedSample, result: Result) -> None:
        """Write the picture, or the mark that there is none, unless it is there already."""
        with self._lock:
            if not self.is_missing(sample):
                return
            sample.png.parent.mkdir(parents=True, exist_ok=True)
            for old in _others(sample.png):
                old.unlink()
            if result.picture is None:
                sample.png.unlink(missing_ok=True)
            else:
                write(sample.png, result.picture.png, durable=True)
                for number, other in enumerate(result.picture.others, 1):
                    write(sample.png.with_name(f"{sample.png.stem}.other{number}.png"), other)
            _write_about(sample, self._masker.value(_about(batch, sample, result)))
            self._states[sample.png] = result.state
            if result.state != "done":
                self._say(f"{sample.png.name}: {result.state}: {result.reason}")
            elif sample.variant.baseline:
                for each in self._uncompared.pop(sample.png, ()):
                    self._compare(each, sample.png)
            elif sample.baseline is not None:
                self._compare(sample, sample.baseline)

    def _compare(self, sample: PlannedSample, baseline: Path) -> None:
        try:
            equal = same_pixels(sample.png.read_bytes(), baseline.read_bytes())
        except FileNotFoundError:
            self._uncompared.setdefault(baseline, []).append(sample)
            return
        if equal:
            self._say(f"{sample.png.name}: {NO_EFFECT}")
            _write_about(sample, {**(read_json(sample.json) or {}), "reason": NO_EFFECT})

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


def _states(folder: SweepFolder) -> Iterable[tuple[Path, str]]:
    samples = folder.path.absolute().glob("*/attempt-*/output/sample/*.json")
    for file in (*samples, *folder.baselines.absolute().glob("*.json")):
        found = read_json(file) or {}
        if "state" in found:
            yield file.with_name(f"{file.name.removesuffix('.json')}.png"), str(found["state"])


def _others(png: Path) -> list[Path]:
    return [each for each in png.parent.iterdir() if each.name.startswith(f"{png.stem}.other")]


def _write_about(sample: PlannedSample, about: Mapping[str, object]) -> None:
    write(sample.json, json.dumps(about, ensure_ascii=False, indent=1), durable=True)


def _about(batch: Batch, sample: PlannedSample, result: Result) -> dict[str, object]:
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
        "base_model": result.base_model,
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
