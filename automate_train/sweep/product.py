"""Axes -> the points of the sweep, each computed from its index.

Covers: product, exclude, equal points, names and keys. Nothing holds all points: a sweep of a million costs as much as
one of ten until somebody iterates over it. Not: how lists become axes (`axes`), which points a command is about
(`selection`), which runs start (`training/placement`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from itertools import product, repeat
from math import prod
from operator import getitem
from typing import NamedTuple

from ..config.key_sets import SWEEP_ONLY
from ..config.values import unset
from ..errors import UserError
from ..records import SEED, Dropped, Run, Setting
from ..store.layout import DATASETS, LOGS
from .axes import Axis, check_list, digest, groups, make_axis
from .exclude import Get, compile_expression
from .replicates import seed_list

BAD_IN_PROJECT = set('{}[]/\\:*?"<>|.')
TAKEN = (LOGS, DATASETS)
"""Folders of temp_dir that belong to all its sweeps."""
MOST_POINTS = 10**15
"""Indexes stay numbers that the journal and JSON can hold."""
SLUG_BYTES = 120


class Drop(NamedTuple):
    """One condition of `exclude`."""

    expression: str
    applies: Callable[[Get], bool]
    axes: tuple[int, ...]
    """The indexes of the axes that it depends on."""


class Sweep:
    """The points of one sweep. What follows from its axes is computed once, when it is asked for."""

    def __init__(
        self, project: str, shared: Mapping[str, Setting], axes: tuple[Axis, ...], drops: tuple[Drop, ...],
        number_start: int, base_digest: int, replicates: bool = False,
    ) -> None:  # fmt: skip
        """`replicates`: the first axis is the seeds of `"replicates"`, which names tell last."""
        self.project, self.shared, self.axes, self.drops = project, shared, axes, drops
        self.number_start, self.base_digest, self.replicates = number_start, base_digest, replicates

    def key_of(self, places: tuple[int, ...]) -> str:
        """16 hex digits: a sum over the options that change the model, so order and axes do not matter."""
        total = self.base_digest + sum(map(getitem, self.digests, places))
        return f"{total & 0xFFFFFFFFFFFFFFFF:016x}"

    def name_of(self, places: tuple[int, ...]) -> str:
        pieces = map(getitem, self.name_pieces, places)
        if self.replicates:
            seed = next(pieces)
            return "_".join((self.project, *pieces, seed))
        return "_".join((self.project, *pieces))

    def slug_of(self, index: int, places: tuple[int, ...]) -> str:
        """The name as a file name: `[A-Za-z0-9._-]`, at most 120 bytes; with the number where something was lost."""
        name = self.name_of(places).replace("=", "-")
        safe = re.sub(r"[^A-Za-z0-9._-]+", "-", name).lstrip(".-") or "run"
        if safe == name and len(safe) <= SLUG_BYTES:
            return safe
        end = f"-{index + self.number_start}"
        return safe[: SLUG_BYTES - len(end)] + end

    def varied_of(self, places: tuple[int, ...]) -> Mapping[str, str]:
        axes = zip(self.axes, places, strict=True)
        varied = {key: texts[place] for axis, place in axes for key, texts in axis.texts.items()}
        if self.replicates:
            varied[SEED] = varied.pop(SEED)  # to the end
        return varied

    def options_of(self, places: tuple[int, ...]) -> Mapping[str, Setting]:
        options = dict(self.shared)
        for axis, place in zip(self.axes, places, strict=True):
            options.update(axis.settings[place])
        return options

    @cached_property
    def size(self) -> int:
        return prod(axis.size for axis in self.axes)

    @cached_property
    def name_pieces(self) -> tuple[tuple[str, ...], ...]:
        """For each axis and place: `key=value`, zip groups joined."""
        return tuple(
            tuple("_".join(f"{key}={texts[place]}" for key, texts in axis.texts.items()) for place in range(axis.size))
            for axis in self.axes
        )

    @cached_property
    def digests(self) -> tuple[tuple[int, ...], ...]:
        return tuple(axis.digests for axis in self.axes)

    @cached_property
    def _place_of(self) -> list[dict[int, int]]:
        """For each axis: digest -> the first place that has it."""
        return [{axis.digests[place]: place for place in reversed(range(axis.size))} for axis in self.axes]

    @cached_property
    def _seen(self) -> list[dict[tuple[int, ...], bool]]:
        return [{} for _ in self.drops]

    @cached_property
    def _repeats(self) -> bool:
        return any(axis.first != tuple(range(axis.size)) for axis in self.axes)

    def point(self, index: int) -> Run | Dropped:
        """The point at a place of the full product; `IndexError` outside of it."""
        if not 0 <= index < self.size:
            raise IndexError(index)
        places = []
        rest = index
        for axis in reversed(self.axes):
            rest, place = divmod(rest, axis.size)
            places.append(place)
        return self._make(index, tuple(reversed(places)))

    def find(self, key: str, options: Mapping[str, object]) -> Run | None:
        """The run with this key; None when it is not, or no longer, part of the sweep. `options`: as the store keeps
        them."""
        places = []
        for axis, place_of in zip(self.axes, self._place_of, strict=True):
            place = place_of.get(sum(digest(name, options.get(name)) for name, _ in axis.settings[0]))
            if place is None:
                return None
            places.append(place)
        index = 0
        for axis, place in zip(self.axes, places, strict=True):
            index = index * axis.size + place
        point = self.point(index) if self.key_of(tuple(places)) == key else None
        return point if isinstance(point, Run) else None

    def points(self, start: int = 0) -> Iterator[Run | Dropped]:
        if start:
            return (self.point(index) for index in range(start, self.size))
        places = product(*(range(axis.size) for axis in self.axes))
        if not self.drops and not self._repeats:
            return map(Run, repeat(self), range(self.size), places)
        return map(self._make, range(self.size), places)

    __iter__ = points

    def covering(self) -> Iterator[Run]:
        """Runs that together take every value of every axis at least once, where it is not dropped everywhere."""
        if not self.axes:
            yield Run(self, 0, ())
        for number, axis in enumerate(self.axes):
            for place in range(axis.size):
                step = prod(other.size for other in self.axes[number + 1 :])
                tries = (index for base in range(0, self.size, step * axis.size) for index in range(base, base + step))
                for _, index in zip(range(64), tries, strict=False):
                    found = self.point(index + place * step)
                    if isinstance(found, Run):
                        yield found
                        break

    def _make(self, index: int, places: tuple[int, ...]) -> Run | Dropped:
        if self._repeats:
            first = tuple(axis.first[place] for axis, place in zip(self.axes, places, strict=True))
            if first != places:
                same = 0
                for axis, place in zip(self.axes, first, strict=True):
                    same = same * axis.size + place
                text = f"same settings as run {same + self.number_start}: the difference does not change the model"
                return Dropped(index, text)
        run = Run(self, index, places)
        for (text, applies, axes), seen in zip(self.drops, self._seen, strict=True):
            where = tuple(places[axis] for axis in axes)
            if where not in seen:
                if len(seen) > 100_000:
                    seen.clear()
                values = {key: option.value for key, option in run.options.items()}
                seen[where] = applies(values.__getitem__)
            if seen[where]:
                return Dropped(index, f"excluded by `{text}`")
        return run


def expand(settings: Mapping[str, Setting], *, number_start: int = 0) -> Sweep:
    """The sweep of merged settings; `UserError` names file and key."""
    project = _project(settings.get("project_name_base"))
    lists = {key: setting for key, setting in settings.items() if key.endswith("_list")}
    shared = {key: setting for key, setting in settings.items() if key not in lists and key not in SWEEP_ONLY}
    for key, setting in lists.items():
        check_list(key, setting)
    together = groups(settings.get("zip"), lists)
    if (seeds := seed_list(settings)) is not None:
        # The slowest axis: every setting gets its first seed before any gets its second.
        lists, together = {**lists, f"{SEED}_list": seeds}, [(f"{SEED}_list",), *together]
        shared.pop(SEED, None)
    axes = []
    for group in together:
        axis = make_axis({key: lists[key] for key in group})
        if axis.size == 1:
            shared.update(axis.settings[0])
        else:
            axes.append(axis)
    axis_of = {key: number for number, axis in enumerate(axes) for key, _ in axis.settings[0]}
    drops = []
    exclude = settings.get("exclude")
    for text in _texts(exclude):
        assert exclude is not None
        applies, names = compile_expression(text, {*shared, *axis_of}, str(exclude.source))
        drops.append(Drop(text, applies, tuple(sorted({axis_of[name] for name in names if name in axis_of}))))
    if prod(axis.size for axis in axes) > MOST_POINTS:
        hint = "shorten some lists, or let them move together with zip"
        raise UserError(f"the lists make more than {MOST_POINTS:.0e} combinations", source=axes[0].source, hint=hint)
    base = sum(digest(key, setting.value) for key, setting in shared.items())
    return Sweep(project, shared, tuple(axes), tuple(drops), number_start, base, seeds is not None)


def _project(setting: Setting | None) -> str:
    value = setting.value if setting else None
    source = str(setting.source) if setting else "the configs"
    if not isinstance(value, str) or not value.strip():
        hint = 'for example "project_name_base": "my_character"'
        raise UserError("must be the sweep's name, a text", source=source, key="project_name_base", hint=hint)
    if bad := sorted({letter for letter in value if letter in BAD_IN_PROJECT or not letter.isprintable()}):
        message = f"may not hold {' '.join(map(repr, bad))}"
        raise UserError(message, source=source, key="project_name_base", hint="letters, digits, - and _ are safe")
    if value in TAKEN:
        message = f"{value!r} is the name of a folder that all sweeps share"
        raise UserError(message, source=source, key="project_name_base", hint="choose another name")
    if len(value.encode("utf-8", "replace")) > 100:
        raise UserError("is longer than 100 bytes", source=source, key="project_name_base", hint="shorten it")
    return value


def _texts(setting: Setting | None) -> list[str]:
    value = setting.value if setting else None
    if unset(value):
        return []
    if isinstance(value, str):
        return [value]
    if isinstance(value, list) and all(isinstance(text, str) for text in value):
        return value
    source = str(setting.source) if setting else ""
    hint = 'for example ["network_alpha > network_dim"]'
    raise UserError("must be a list of expressions", source=source, key="exclude", hint=hint)
