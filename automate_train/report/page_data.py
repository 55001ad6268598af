"""A sweep as one JSON-able dict: what the page is made of.

Covers: runs with their places on the axes, pictures in columns, links, prompts with their baselines. Pure: rows of the
journal, readings and names of thumbnails go in. Not: reading them (`build`), how it becomes a file (`page`).

{dims: [{id, values, numbers}], moments, prompts, weights, runs: [{at: [place on each dim], pictures: {m, p, w, s, t}}]}
where m, p, w are places of a picture's moment, prompt and weight, s that of its state in `states`, t its thumbnail.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..config.keys import NEUTRAL, canonical
from ..store.journal import Row
from . import sample_files as pictures_module
from .axes import Axes, Dim, axes_of, settings_dims
from .cache import Reading

STATES = ["done", "base model only", "wrong checkpoint", "failed"]
SHOWN = ("loss", "mean_loss", "steps", "seconds")


@dataclass(frozen=True)
class Found:
    """Everything that was read of a sweep."""

    rows: Sequence[Row]
    readings: Sequence[Reading | None]
    """One a row; None for a run that has not begun."""
    baselines: Sequence[pictures_module.Picture]
    notes: Mapping[str, Any]
    project: str
    folder: str

    def settings(self) -> list[dict[str, str]]:
        """What differs between the runs, as texts, the same keys for all: the varied keys, and options that changed
        when the same sweep was started again with other files."""
        keys = dict.fromkeys(key for row in self.rows for key in row.varied)
        known = {canonical(key) for key in keys} | NEUTRAL
        seen: dict[str, str] = {}
        for key in dict.fromkeys(key for row in self.rows for key in row.options if key not in known):
            for row in self.rows:
                if seen.setdefault(key, (text := _text(row.options.get(key)))) != text:
                    keys[key] = None
                    break
        return [
            {key: row.varied[key] if key in row.varied else _text(row.options.get(canonical(key))) for key in keys}
            for row in self.rows
        ]

    def dims(self) -> list[Dim]:
        return settings_dims(self.settings())

    def axes(self) -> Axes:
        return axes_of(each for reading in self.readings if reading for each in reading.pictures)


def assemble(
    found: Found, thumb: Callable[[str, str], str], link: Callable[[str], str], marks: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """The page's data. `thumb(file, stamp)`: where a small picture is; `link(path)`: a URL from the page to a file,
    relative to the sweep's folder or absolute."""
    dims, axes, settings = found.dims(), found.axes(), found.settings()
    waiting: Mapping[str, str] = found.notes.get("waiting") or {}
    runs = [
        _run(row, reading, [dim.place(values) for dim in dims], axes, thumb, link, waiting)
        for row, reading, values in zip(found.rows, found.readings, settings, strict=True)
    ]
    ids = axes.prompt_ids()
    prompts = []
    for (number, words), name in zip(axes.prompts, ids, strict=True):
        at = next((i for i, b in enumerate(found.baselines) if (b.prompt, b.words) == (number, words)), None)
        base = found.baselines[at] if at is not None else None
        drawn = {"t": thumb(base.file, base.stamp), "d": at} if base is not None else None
        prompts.append({"id": name, "number": number, "text": words, "baseline": drawn})
    return {
        "version": 1,
        "project": found.project,
        "sweep": str(found.notes.get("sweep_id") or found.folder),
        "folder": found.folder,
        "state": str(found.notes.get("state") or ""),
        "dims": [dim.as_json() for dim in dims],
        "unit": axes.unit,
        "moments": list(axes.moments),
        "prompts": prompts,
        "weights": list(axes.weights),
        "states": STATES,
        "runs": runs,
        "marks": list(marks),
        "command": found.notes.get("command") or [],
        "provenance": found.notes.get("provenance"),
    }


def _run(
    row: Row, reading: Reading | None, at: list[int], axes: Axes, thumb: Callable[[str, str], str],
    link: Callable[[str], str], waiting: Mapping[str, str],
) -> dict[str, Any]:  # fmt: skip
    told = reading.told if reading else {}
    columns: dict[str, list[Any]] = {"m": [], "p": [], "w": [], "s": [], "t": [], "d": []}
    for number, each in enumerate(reading.pictures if reading else ()):
        place = axes.place(each)
        if place is not None:
            state = STATES.index(each["state"]) if each["state"] in STATES else STATES.index("failed")
            small = thumb(each["file"], each["stamp"]) if each["file"] else ""
            for name, value in zip(columns, (*place, state, small, number), strict=True):
                columns[name].append(value)
    delivered = row.facts.get("delivered") or []
    lora = next((path for path in delivered if str(path).endswith((".safetensors", ".ckpt", ".pt"))), None)
    lora = lora or row.facts.get("checkpoint") or ""
    return {
        "key": row.key,
        "index": row.index,
        "number": row.number,
        "name": row.name,
        "state": row.state,
        "reason": row.reason or (waiting.get(row.key, "") if row.state == "waiting" else ""),
        "at": at,
        **{name: _finite(row.facts.get(name)) for name in SHOWN},
        "best": _finite(told.get("best")),
        "step": told.get("step"),
        "total": told.get("total"),
        "nans": told.get("nans") or 0,
        "memory": _finite(told.get("memory") or row.facts.get("peak_memory")),
        "devices": list(row.devices),
        "attempt": row.attempt,
        "started": row.started,
        "ended": row.ended,
        "exit": row.exit_code,
        "folder": link(row.folder) if row.folder else "",
        "log": link(f"{row.folder}/console.log") if row.folder else "",
        "lora": link(str(lora)) if lora else "",
        "lora_path": str(lora),
        "pictures": columns,
    }


def _finite(value: Any) -> Any:
    """JSON has no NaN: the text says it."""
    return "nan" if isinstance(value, float) and not math.isfinite(value) else value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
