"""What looks wrong with a checkpoint, from its pictures and its weights alone: no model is loaded.

Covers: pictures that copy a training picture, pictures that no longer differ by seed, weights that did
nothing, that exploded, or that use one direction of many. Pure but for reading the files. Not: which files there are,
what is kept of the answers, showing them (`report/alarms`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ..same_picture import Look, look, same
from ..trainers.safetensors_file import Broken
from .lora_weights import LoraWeights, lora_weights

NOTHING = 1e-4
"""Of a gain: less than float16 can tell from the model's own weights."""
EXPLODED = 1.0
"""Of a gain: the change is as large as the weights of a layer as it is initialized."""
ONE_DIRECTION, FROM_DIM = 1.5, 8
"""Of an effective rank, in LoRAs of at least this rank."""


class Alarm(NamedTuple):
    kind: str
    """copy, same pictures, nothing changed, exploded, one direction, not looked at."""
    text: str
    picture: str = ""
    """The sample, as the caller named it."""
    other: str = ""
    """The training picture's path, or the other sample."""


class Sample(NamedTuple):
    name: str
    file: Path
    seed: object
    """None: not known."""

    def must_differ(self, other: Sample) -> bool:
        """Whether the two were drawn from different noise. One seed may give alike pictures of alike prompts."""
        return None not in (self.seed, other.seed) and self.seed != other.seed


def looks(files: Sequence[Path]) -> dict[str, Look]:
    """Path -> its look, for those of the files that are pictures."""
    found = {str(file): look(file) for file in files}
    return {file: each for file, each in found.items() if each is not None}


def picture_alarms(samples: Sequence[Sample], training: Mapping[str, Look]) -> list[Alarm]:
    """`samples`: of one checkpoint."""
    seen = [(sample, found) for sample in samples if (found := look(sample.file)) is not None]
    alarms = []
    for sample, found in seen:
        for at, details in same(found, list(training.values()))[:1]:
            file = list(training)[at]
            text = f"copies the training picture {Path(file).name} (details agree to {details:.2f})"
            alarms.append(Alarm("copy", text, sample.name, file))
    alike = []
    for at, (one, found) in enumerate(seen):
        others = [other for other in seen[at + 1 :] if one.must_differ(other[0])]
        for match in same(found, [other[1] for other in others], most=1):
            alike.append((one, others[match.at][0]))
    if alike:
        one, other = alike[0]
        of = f"{len(alike) + 1} of {len(seen)} pictures" if len(alike) > 1 else "two pictures"
        alarms.append(Alarm("same pictures", f"{of} look the same, though their seeds differ", one.name, other.name))
    return alarms


def weight_alarms(file: Path) -> list[Alarm]:
    """`OSError` where there is no such file; nothing for one that is not whole, which the trainer's room reports."""
    try:
        return judged(lora_weights(file))
    except Broken:
        return []


def judged(weights: LoraWeights) -> list[Alarm]:
    nothing, exploded, direction = [], [], []
    for block, change in weights.blocks.items():
        if change.gain < NOTHING:
            nothing.append(f"{block} (gain {change.gain:.1g})")
        elif not change.gain <= EXPLODED:  # NaN too
            exploded.append(f"{block} (gain {change.gain:.3g})")
        elif change.dim >= FROM_DIM and change.rank < ONE_DIRECTION:
            direction.append(f"{block} (effective rank {change.rank:.1f} of {change.dim})")
    total = len(weights.blocks)
    found = [
        Alarm(kind, f"{len(blocks)} of {total} blocks {what}: {_some(blocks)}")
        for kind, what, blocks in (
            ("nothing changed", "changed next to nothing", nothing),
            ("exploded", "exploded", exploded),
            ("one direction", "use one direction alone", direction),
        )
        if blocks
    ]
    others = {form: count for form, count in weights.unread.items() if form}
    if others:
        text = f"the weights of {sum(others.values())} modules were not looked at ({', '.join(others)})"
        found.append(Alarm("not looked at", text))
    return found


def _some(words: Sequence[str]) -> str:
    return ", ".join(words[:3]) + (f" and {len(words) - 3} more" if len(words) > 3 else "")
