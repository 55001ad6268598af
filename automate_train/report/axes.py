"""The axes of the comparison: varied keys, checkpoints, prompts, LoRA weights.

Covers: which keys move together (a zip group is one axis), the order of values, labels. Pure.
Not: what lies at a place (`data`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Dim:
    """One axis of the settings."""

    keys: tuple[str, ...]
    """More than one: keys whose values always change together."""
    values: tuple[tuple[str, ...], ...]

    @property
    def label(self) -> str:
        return " + ".join(self.keys)

    def place(self, settings: Mapping[str, str]) -> int:
        return self.values.index(tuple(settings[key] for key in self.keys))

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.label,
            "label": self.label,
            "values": [" + ".join(value) for value in self.values],
            "numbers": [number(value[0]) for value in self.values],
        }


def number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if value - value == 0 else None


def settings_dims(settings: Sequence[Mapping[str, str]]) -> list[Dim]:
    """The varied keys of all runs as axes, in the order in which they were written. `settings`: a run each, all with
    the same keys."""
    dims: list[Dim] = []
    for key in settings[0] if settings else ():
        together = next((at for at, dim in enumerate(dims) if _together(key, dim.keys[0], settings)), None)
        if together is None:
            dims.append(Dim((key,), ()))
        else:
            dims[together] = Dim((*dims[together].keys, key), ())
    return [Dim(dim.keys, tuple(_values(dim.keys, settings))) for dim in dims]


def _together(one: str, other: str, settings: Sequence[Mapping[str, str]]) -> bool:
    """Whether each value of one key comes with exactly one of the other, and both vary."""
    pairs = {(run[one], run[other]) for run in settings}
    ones, others = {a for a, _ in pairs}, {b for _, b in pairs}
    return len(pairs) == len(ones) == len(others) > 1


def _values(keys: Sequence[str], settings: Sequence[Mapping[str, str]]) -> list[tuple[str, ...]]:
    """Numbers by size, else as the user wrote them."""
    values = list(dict.fromkeys(tuple(run[key] for key in keys) for run in settings))
    if all(number(value[0]) is not None for value in values):
        values.sort(key=lambda value: number(value[0]) or 0.0)
    return values


@dataclass(frozen=True)
class Axes:
    """Where a sweep's pictures can lie, beside the settings."""

    unit: str
    """epoch or step."""
    moments: tuple[int, ...]
    prompts: tuple[tuple[int, str], ...]
    """(number, words without the LoRA)"""
    weights: tuple[float | None, ...]

    def place(self, picture: Mapping[str, Any]) -> tuple[int, int, int] | None:
        """(moment, prompt, weight) as places on the axes; None for a picture that tells no moment."""
        moment = picture["step"] if self.unit == "step" else picture["epoch"]
        if moment is None:
            return None
        prompt = (picture["prompt"], picture["words"])
        return self.moments.index(moment), self.prompts.index(prompt), self.weights.index(picture["weight"])

    def prompt_ids(self) -> list[str]:
        """By number, with some of the text's hash where two prompts have one number."""
        numbers = [no for no, _ in self.prompts]
        return [
            str(no) if numbers.count(no) == 1 else f"{no}-{hashlib.sha256(words.encode()).hexdigest()[:4]}"
            for no, words in self.prompts
        ]


def axes_of(pictures: Iterable[Mapping[str, Any]]) -> Axes:
    found = list(pictures)
    by_step = any(each["by_step"] for each in found)
    moments = {each["step" if by_step else "epoch"] for each in found} - {None}
    prompts = {(each["prompt"], each["words"]): None for each in found}
    weights = {each["weight"] for each in found}
    return Axes(
        "step" if by_step else "epoch",
        tuple(sorted(moments)),
        tuple(sorted(prompts)),
        tuple(sorted(weights, key=lambda weight: (weight is not None, weight))),
    )
