"""The axes of the comparison: varied settings, checkpoints, prompts, LoRA weights.

Covers: which keys vary together (a zip group is one axis), the order of the values, labels. Pure.
Not: which picture belongs at a position (`page_data`, `grid`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from ..records import SEED
from .sample_files import SamplePicture


class SettingAxis(NamedTuple):
    keys: tuple[str, ...]
    """More than one: keys whose values always change together."""
    values: tuple[tuple[str, ...], ...]

    @property
    def label(self) -> str:
        return " + ".join(self.keys)

    @property
    def value_texts(self) -> tuple[str, ...]:
        return tuple(" + ".join(value) for value in self.values)

    def position(self, settings: Mapping[str, str]) -> int:
        return self.values.index(tuple(settings[key] for key in self.keys))

    def as_json(self) -> dict[str, object]:
        return {
            "id": self.label,
            "label": self.label,
            "values": list(self.value_texts),
            "numbers": [_number(value[0]) for value in self.values],
            "replicate": SEED in self.keys,
        }


def setting_axes(settings: Sequence[Mapping[str, str]]) -> list[SettingAxis]:
    """The varied keys of all runs as axes, in the order in which they were written; the seed is an axis alone, and the
    last one: it tells replicates of a setting apart. `settings`: one mapping for each run, all with the same keys."""
    groups: list[tuple[str, ...]] = []
    for key in sorted(settings[0], key=lambda key: key == SEED) if settings else ():
        found = (at for at, group in enumerate(groups) if _vary_together(key, group[0], settings))
        same = None if key == SEED else next(found, None)
        if same is None:
            groups.append((key,))
        else:
            groups[same] = (*groups[same], key)
    return [SettingAxis(keys, tuple(_values(keys, settings))) for keys in groups]


def _vary_together(one: str, other: str, settings: Sequence[Mapping[str, str]]) -> bool:
    """Whether both keys vary and each value of one comes with exactly one value of the other."""
    pairs = {(run[one], run[other]) for run in settings}
    ones, others = {a for a, _ in pairs}, {b for _, b in pairs}
    return len(pairs) == len(ones) == len(others) > 1


def _values(keys: Sequence[str], settings: Sequence[Mapping[str, str]]) -> list[tuple[str, ...]]:
    """Numbers by size, everything else as the user wrote it."""
    values = list(dict.fromkeys(tuple(run[key] for key in keys) for run in settings))
    if all(_number(value[0]) is not None for value in values):
        values.sort(key=lambda value: _number(value[0]) or 0.0)
    return values


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if value - value == 0 else None


class PictureAxes(NamedTuple):
    """The axes of a single run's pictures."""

    unit: str
    """epoch or step: what tells the checkpoints apart."""
    checkpoints: tuple[int, ...]
    """Their epochs or steps."""
    prompts: tuple[tuple[int, str], ...]
    """(number, the prompt without the LoRA)"""
    weights: tuple[float | None, ...]

    def position(self, picture: SamplePicture) -> tuple[int, int, int] | None:
        """(checkpoint, prompt, weight) as positions on the axes; None when the picture's checkpoint is unknown."""
        checkpoint = picture.step if self.unit == "step" else picture.epoch
        if checkpoint is None:
            return None
        prompt = (picture.prompt, picture.words)
        return self.checkpoints.index(checkpoint), self.prompts.index(prompt), self.weights.index(picture.weight)

    def prompt_ids(self) -> list[str]:
        """The prompts' numbers; where two prompts share one, with the start of the text's hash."""
        numbers = [number for number, _ in self.prompts]
        return [
            str(number) if numbers.count(number) == 1 else f"{number}-{hashlib.sha256(words.encode()).hexdigest()[:4]}"
            for number, words in self.prompts
        ]


def picture_axes(pictures: Iterable[SamplePicture]) -> PictureAxes:
    """The axes on which all these pictures have a position. Steps, once one checkpoint was saved within an epoch."""
    pictures = list(pictures)
    unit = "step" if any(each.by_step for each in pictures) else "epoch"
    checkpoints = {each.step if unit == "step" else each.epoch for each in pictures} - {None}
    prompts = {(each.prompt, each.words) for each in pictures}
    weights = {each.weight for each in pictures}
    return PictureAxes(
        unit,
        tuple(sorted(each for each in checkpoints if each is not None)),
        tuple(sorted(prompts)),
        tuple(sorted(weights, key=lambda weight: (weight is not None, weight))),
    )
