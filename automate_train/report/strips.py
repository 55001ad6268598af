"""Strips: each finished run's pictures in a row, one file for each prompt, in `<target_path>/grid_samples/`.

Covers: which strips are missing or older than their pictures. Not: drawing (`canvas`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ..config.values import unset
from ..records import RunRecord
from ..store.layout import SweepFolder
from ..store.sweep_file import typed_in
from .axes import picture_axes
from .cache import changed_at
from .canvas import draw_table
from .sample_files import SamplePicture
from .sweep_data import SweepData
from .thumbs import have_pillow

SIDE = 256


def write_strips(folder: SweepFolder, sweep: SweepData) -> None:
    """`OSError` when the target refuses."""
    if not have_pillow():
        return
    for run, data in zip(sweep.runs, sweep.run_data, strict=True):
        if run.state == "succeeded" and data.pictures and not unset(run.options.get("target_path")):
            _write(folder, run, data.pictures)


def _write(folder: SweepFolder, run: RunRecord, pictures: Sequence[SamplePicture]) -> None:
    cwd = typed_in(folder, folder.attempt(run.folder))
    target = Path(cwd, os.path.expanduser(str(run.options["target_path"]))) / "grid_samples"
    axes = picture_axes(pictures)
    sampled = max(changed_at(folder.attempt(attempt.folder).samples) for attempt in run.attempts)
    for prompt, id_ in zip(axes.prompts, axes.prompt_ids(), strict=True):
        out = target / f"{Path(run.folder).parts[0]}_{id_.zfill(2)}.png"
        if changed_at(out) >= sampled:
            continue
        cells: list[list[Path | str]] = [["" for _ in axes.checkpoints] for _ in axes.weights]
        for each in pictures:
            position = axes.position(each)
            if position is not None and axes.prompts[position[1]] == prompt:
                cells[position[2]][position[0]] = folder.path / each.file if each.file else each.state
        columns = [f"{axes.unit} {checkpoint}" for checkpoint in axes.checkpoints]
        rows = ["" if weight is None else f"weight {weight:g}" for weight in axes.weights]
        try:
            image = draw_table(f"{run.name} · {prompt[1]}", columns, rows, cells, SIDE)
        except ValueError:  # hundreds of checkpoints make a strip that is too large to draw
            continue
        target.mkdir(parents=True, exist_ok=True)
        temp = out.with_name(f".{out.name}.{os.getpid()}")
        image.save(temp, "PNG")
        temp.replace(out)
