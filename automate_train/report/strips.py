"""Each finished run's pictures in a row, a prompt a file: `<target_path>/grid_samples/`.

Covers: which are missing or older than their pictures. Not: drawing (`canvas`). What the old script made by hand.
"""

from __future__ import annotations

import os
from pathlib import Path

from ..config.keys import unset
from ..store.journal import Row
from .axes import axes_of
from .cache import Reading, launch_of
from .page_data import Found
from .thumbs import have_pillow

SIDE = 256


def write_strips(found: Found, root: Path) -> None:
    """`OSError` when the target refuses."""
    if not have_pillow():
        return
    for row, reading in zip(found.rows, found.readings, strict=True):
        if row.state == "succeeded" and reading and reading.pictures and not unset(row.options.get("target_path")):
            _write(row, reading, root)


def _write(row: Row, reading: Reading, root: Path) -> None:
    cwd = str(launch_of(root / row.folder).get("cwd") or root)
    target = Path(cwd, os.path.expanduser(str(row.options["target_path"]))) / "grid_samples"
    axes = axes_of(reading.pictures)
    samples = (root / row.folder / "output" / "sample").stat().st_mtime
    name = Path(row.folder).parts[0]
    for prompt, number in zip(axes.prompts, axes.prompt_ids(), strict=True):
        out = target / f"{name}_{number.zfill(2)}.png"
        if out.exists() and out.stat().st_mtime >= samples:
            continue
        weights = axes.weights
        table: list[list[Path | str]] = [["" for _ in axes.moments] for _ in weights]
        for each in reading.pictures:
            place = axes.place(each)
            if place is not None and axes.prompts[place[1]] == prompt:
                table[place[2]][place[0]] = root / each["file"] if each["file"] else each["state"]
        from .canvas import draw

        columns = [f"{axes.unit} {moment}" for moment in axes.moments]
        rows = ["" if weight is None else f"weight {weight:g}" for weight in weights]
        target.mkdir(parents=True, exist_ok=True)
        half = out.with_name(f".{out.name}")
        try:
            draw(f"{row.name} · {prompt[1]}", columns, rows, table, SIDE).save(half, "PNG")
        except ValueError:  # hundreds of checkpoints: nobody looks at such a strip
            continue
        half.replace(out)
