"""The page's data: a sweep as one JSON-able object.

Covers: runs with their positions on the axes, pictures in columns, links, prompts with their baselines.
Not: reading the sweep (`sweep_data`), thumbnails (`thumbs`), how the object gets into a file (`page`).

{settings: [{id, label, values, numbers, replicate}], checkpoints, prompts, weights, states,
 runs: [{positions: [one on each setting's axis], pictures: {checkpoint, prompt, weight, state, thumb, detail}}]}
Each field of `pictures` is a column with one entry for each picture: the first three are positions on the axes, `state`
is a position in `states`, `thumb` is the small picture's URL, `detail` is a position in the run's packed details.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from ..records import RunRecord
from ..store.layout import AttemptFolder
from ..trainers.loss_meaning import loss_note
from .cache import RunData
from .marks import Mark
from .sweep_data import SweepData, lora_path, short_name

STATES = ["done", "base model only", "wrong checkpoint", "failed"]

Thumb = Callable[[str, str], str]
"""(picture's file, its stamp) -> URL of the small picture."""
Link = Callable[[str], str]
"""A path, absolute or relative to the sweep's folder -> its URL from the page."""


def page_data(sweep: SweepData, thumb: Thumb, link: Link, marks: Sequence[Mark]) -> dict[str, object]:
    notes, axes = sweep.notes, sweep.picture_axes
    return {
        "project": sweep.project,
        "sweep": str(notes.get("sweep_id") or sweep.root),
        "folder": str(sweep.root),
        "settings": [axis.as_json() for axis in sweep.setting_axes],
        "unit": axes.unit,
        "checkpoints": list(axes.checkpoints),
        "prompts": _prompts(sweep, thumb),
        "weights": list(axes.weights),
        "states": STATES,
        "loss_note": loss_note(sweep.settings),
        "runs": [_run(sweep, at, thumb, link) for at in range(len(sweep.runs))],
        "marks": list(marks),
        "votes": [vote._asdict() for vote in sweep.votes],
        "command": notes.get("command") or [],
        "provenance": sweep.provenance,
    }


def _prompts(sweep: SweepData, thumb: Thumb) -> list[dict[str, object]]:
    axes = sweep.picture_axes
    baselines: dict[tuple[int, str], int] = {}
    for at, each in enumerate(sweep.baselines):
        baselines.setdefault((each.prompt, each.words), at)
    prompts: list[dict[str, object]] = []
    for (number, words), id_ in zip(axes.prompts, axes.prompt_ids(), strict=True):
        detail = baselines.get((number, words))
        baseline = None
        if detail is not None:
            picture = sweep.baselines[detail]
            baseline = {"thumb": thumb(picture.file, picture.stamp), "detail": detail}
        prompts.append({"id": id_, "text": words, "baseline": baseline})
    return prompts


def _run(sweep: SweepData, at: int, thumb: Thumb, link: Link) -> dict[str, object]:
    run, data = sweep.runs[at], sweep.run_data[at]
    noted = sweep.notes.get("waiting")
    waiting = noted if isinstance(noted, dict) else {}
    lora, newest = lora_path(run), run.newest
    return {
        "key": run.key,
        "id": run.id,
        "index": run.index if run.in_sweep else None,
        "label": short_name(run),
        "name": run.name,
        "setting": run.setting_name,
        "state": run.state,
        "reason": _reason(run, waiting),
        "positions": [axis.position(sweep.settings[at]) for axis in sweep.setting_axes],
        **{name: _finite(run.metrics.get(name)) for name in ("loss", "steps")},
        "seconds": data.seconds,
        "epoch_loss": _finite(data.epoch_loss),
        "epoch_nan_steps": data.epoch_nan_steps,
        "nan_steps": data.nan_steps,
        "step": data.step,
        "total": data.total,
        "memory": _finite(data.memory or run.metrics.get("peak_memory")),
        "devices": list(newest.devices) if newest else [],
        "started": run.attempts[0].started if newest else None,
        "ended": newest.ended if newest else None,
        "folder": link(run.folder) if run.folder else "",
        "log": link(f"{run.folder}/{AttemptFolder.CONSOLE}") if run.folder else "",
        "lora": link(lora) if lora else "",
        "lora_path": lora,
        "pictures": _pictures(sweep, data, thumb),
    }


def _reason(run: RunRecord, waiting: Mapping[str, object]) -> str:
    """Why it ended as it did, or waits."""
    reason = run.reason or (str(waiting.get(run.key, "")) if run.state == "waiting" else "")
    gone = "" if run.in_sweep else "no longer part of the sweep, whose configs have changed"
    return "; ".join(filter(None, (gone, reason)))


def _pictures(sweep: SweepData, data: RunData, thumb: Thumb) -> dict[str, list[object]]:
    columns: dict[str, list[object]] = {
        name: [] for name in ("checkpoint", "prompt", "weight", "state", "thumb", "detail")
    }
    for detail, picture in enumerate(data.pictures):
        position = sweep.picture_axes.position(picture)
        if position is not None:
            state = STATES.index(picture.state if picture.state in STATES else "failed")
            url = thumb(picture.file, picture.stamp) if picture.file else ""
            for name, value in zip(columns, (*position, state, url, detail), strict=True):
                columns[name].append(value)
    return columns


def _finite(value: object) -> object:
    """NaN and infinity as the text "nan": JSON has neither."""
    return "nan" if isinstance(value, float) and not math.isfinite(value) else value
