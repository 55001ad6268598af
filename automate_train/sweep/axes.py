"""`*_list` settings -> axes: which lists make an axis alone, which move together, which places are equal.

Covers: checks of lists and of `zip`, an axis with its texts, the digest of one option (a run's key is their sum).
Not: the points of the product (`product`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import NamedTuple

from ..config.key_sets import MASKED, NEUTRAL, SWEEP_ONLY, WHOLE_SWEEP, canonical
from ..config.values import text_of, unset
from ..errors import UserError, nearest
from ..records import Setting


class Axis(NamedTuple):
    """Keys that move together (one, or a zip group) and the places that they take."""

    settings: tuple[tuple[tuple[str, Setting], ...], ...]
    """For each place: (canonical key, setting) pairs."""
    texts: Mapping[str, tuple[str, ...]]
    """Key as written -> the texts of its values."""
    digests: tuple[int, ...]
    first: tuple[int, ...]
    """For each place the first one with the same digest: where they differ, the place repeats that one."""
    source: str

    @property
    def size(self) -> int:
        """How many places it has."""
        return len(self.settings)


def values_of(setting: Setting) -> list[object]:
    assert isinstance(setting.value, list), "check_list has seen it"
    return setting.value


def check_list(key: str, setting: Setting) -> None:
    source, base = str(setting.source), key.removesuffix("_list")
    if base in WHOLE_SWEEP or base in SWEEP_ONLY:
        raise UserError("has one value for the whole sweep", source=source, key=key, hint=f"use {base}")
    if base in MASKED:
        text = "is a secret, and the values of a list are in the names of the runs"
        raise UserError(text, source=source, key=key, hint=f"use {base}")
    value = setting.value
    if not isinstance(value, list):
        text = value.strip() if isinstance(value, str) else ""
        hint = f"or use {base} for one value"
        if text.startswith("["):
            hint = "is a comma, a quote or the closing bracket missing?"
        elif "," in text:
            hint = f"write [{text:.60}]"
        raise UserError(f"must be a list, for example [1, 2], not {value!r:.60}", source=source, key=key, hint=hint)
    if not value:
        raise UserError("is an empty list", source=source, key=key, hint="give a value, or take the key out")


def groups(setting: Setting | None, lists: Mapping[str, Setting]) -> list[tuple[str, ...]]:
    """Keys that make one axis, at the place of the first of them."""
    together = {key: group for group in _zipped(setting, lists) for key in group}
    return list(dict.fromkeys(together.get(key, (key,)) for key in lists))


def _zipped(setting: Setting | None, lists: Mapping[str, Setting]) -> list[tuple[str, ...]]:
    """The groups that `zip` names, as canonical keys."""
    if setting is None or unset(setting.value):
        return []
    value, source = setting.value, str(setting.source)
    if _is_texts(value):
        value = [value]  # one group needs no second pair of brackets
    if not isinstance(value, list) or not all(_is_texts(group) for group in value):
        hint = 'for example [["network_dim_list", "network_alpha_list"]]'
        raise UserError("must be a list of lists of keys", source=source, key="zip", hint=hint)
    taken: set[str] = set()
    found = []
    for group in value:
        names = [canonical(name if name.endswith("_list") else f"{name}_list") for name in group]
        for written, name in zip(group, names, strict=True):
            if name not in lists:
                hint = nearest(name, lists)
                raise UserError(f"this sweep has no list {written}", source=source, key="zip", hint=hint)
            if name in taken:
                raise UserError(f"{written} appears twice", source=source, key="zip", hint="name it once")
            taken.add(name)
        sizes = {name: len(values_of(lists[name])) for name in names}
        if len(set(sizes.values())) > 1:
            counts = ", ".join(f"{name} has {size}" for name, size in sizes.items())
            raise UserError(f"lists that move together must have the same length: {counts}", source=source, key="zip")
        found.append(tuple(names))
    return found


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(text, str) for text in value)


def make_axis(lists: Mapping[str, Setting]) -> Axis:
    members = [(key.removesuffix("_list"), setting) for key, setting in lists.items()]
    places = range(len(values_of(members[0][1])))
    settings = tuple(
        tuple((key, Setting(values_of(setting)[place], setting.source, setting.written)) for key, setting in members)
        for place in places
    )
    digests = tuple(sum(digest(key, setting.value) for key, setting in pairs) for pairs in settings)
    seen: dict[int, int] = {}
    first = tuple(seen.setdefault(value, place) for place, value in enumerate(digests))
    texts = {setting.written: tuple(text_of(value) for value in values_of(setting)) for _, setting in members}
    return Axis(settings, texts, digests, first, str(members[0][1].source))


def digest(key: str, value: object) -> int:
    """64 bits of one option; 0 for what changes no model or is not set."""
    if key in NEUTRAL or unset(value):
        return 0
    text = json.dumps([key, _normal(value)], sort_keys=True, default=str)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def _normal(value: object) -> object:
    """1.0 and 1 are one value."""
    if isinstance(value, float):
        return int(value) if value.is_integer() else float(value)
    if isinstance(value, (list, tuple)):
        return [_normal(each) for each in value]
    if isinstance(value, dict):
        return {str(key): _normal(each) for key, each in value.items()}
    return value
