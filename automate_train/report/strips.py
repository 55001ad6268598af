"""Strips: each finished run's pictures in a row, one file a prompt, in `<target_path>/grid_samples/`.

Covers: which strips are missing or older than their pictures. Not: drawing (`canvas`).
"""

from __future__ import annotations

import os
from pathlib import Path

from ..config.keys import unset
from .axes import picture_axes
from .cache import read_launch
from .canvas import draw_table
from .sweep_data import SweepData
from .thumbs import have_pillow

SIDE = 256


def write_strips(sweep: SweepData) -> None:
    """`OSError` when the target refuses."""
    if not have_pillow():
        return
    for at, run in enumerate(sweep.runs):
        if run.state == "succeeded" and sweep.pictures(at) and not unset(run.options.get("target_path")):
            _write(sweep, at)


def _write(sweep: SweepData, at: int) -> None:
    run, root, pictures = sweep.runs[at], sweep.root, sweep.pictures(at)
    cwd = str(read_launch(root / run.folder).get("cwd") or root)
    target = Path(cwd, os.path.expanduser(str(run.options["target_path"]))) / "grid_samples"
    axes = picture_axes(pictures)
    sampled = (root / run.folder / "output" / "sample").stat().st_mtime
    name = Path(run.folder).parts[0]
    for prompt, id_ in zip(axes.prompts, axes.prompt_ids(), strict=True):
        out = target / f"{name}_{id_.zfill(2)}.png"
        if out.exists() and out.stat().st_mtime >= sampled:
            continue
        cells: list[list[Path | str]] = [["" for _ in axes.checkpoints] for _ in axes.weights]
        for each in pictures:
            position = axes.position(each)
            if position is not None and axes.prompts[position[1]] == prompt:
                cells[position[2]][position[0]] = root / each.file if each.file else each.state
        columns = [f"{axes.unit} {checkpoint}" for checkpoint in axes.checkpoints]
        rows = ["" if weight is None else f"weight {weight:g}" for weight in axes.weights]
        try:
            image = draw_table(f"{run.name} · {prompt[1]}", columns, rows, cells, SIDE)
        except ValueError:  # hundreds of checkpoints make a strip that is too large to draw
            continue
        target.mkdir(parents=True, exist_ok=True)
        temp = out.with_name(f".{out.name}")
        image.save(temp, "PNG")
        temp.replace(out)
