"""The labelled grid of pictures by two axes that people post, as the WebUI's X/Y/Z plot makes it.

Covers: the axes by the names that a person types, which picture belongs in which cell.
Not: drawing (`canvas`), flags and printing (`cli`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ..errors import UserError, nearest, pip_install
from ..store.layout import SweepFolder
from .canvas import draw_table
from .sample_files import SamplePicture
from .sweep_data import SweepData, read_sweep, short_name
from .thumbs import have_pillow


class GridAxis(NamedTuple):
    name: str
    values: tuple[str, ...]
    """What a person types for each position."""
    labels: tuple[str, ...]
    """What the grid shows for each position."""


def grid_axes(sweep: SweepData) -> dict[str, GridAxis]:
    """Every axis that a grid can have, by each name that it has: keys that vary together have one axis."""
    axes = {}
    for setting in sweep.setting_axes:
        labels = tuple(f"{setting.label} = {text}" for text in setting.value_texts)
        for name in (setting.label, *setting.keys):
            axes[name] = GridAxis(setting.label, setting.value_texts, labels)
    of_picture = sweep.picture_axes
    unit, checkpoints = of_picture.unit, tuple(map(str, of_picture.checkpoints))
    axes[unit] = GridAxis(unit, checkpoints, tuple(f"{unit} {each}" for each in checkpoints))
    ids = tuple(of_picture.prompt_ids())
    prompts = tuple(f"{id_}: {words}" for id_, (_, words) in zip(ids, of_picture.prompts, strict=True))
    axes["prompt"] = GridAxis("prompt", ids, prompts)
    weights = tuple("as written" if weight is None else f"{weight:g}" for weight in of_picture.weights)
    axes["weight"] = GridAxis("weight", weights, tuple(f"weight {weight}" for weight in weights))
    axes["run"] = GridAxis("run", tuple(map(short_name, sweep.runs)), tuple(run.name for run in sweep.runs))
    return axes


def write_grid(folder: SweepFolder, x: str, y: str, at: Sequence[str], side: int, out: Path) -> str:
    """Draw the grid of two axes into a file; the sentence to print. `at`: `KEY=VALUE` for other axes; `side`: pixels
    of a picture's longer side. `UserError` for unknown axes and values, and when the file cannot be written."""
    sweep = read_sweep(folder)
    if not any(data.pictures for data in sweep.run_data):
        hint = f"automate-train sample {folder.path} draws them on a WebUI"
        raise UserError("this sweep has no sample pictures", source=str(folder.path), hint=hint)
    axes = grid_axes(sweep)
    columns, rows = _axis(axes, x, "--x"), _axis(axes, y, "--y")
    if columns == rows:
        raise UserError("this is the same axis as --x", source="command line", key="--y")
    if not any(data.pictures for data in sweep.run_data):
        hint = f"automate-train sample {folder.path}"
        raise UserError("this sweep has no sample pictures", source=str(folder.path), hint=hint)
    if not have_pillow():
        raise UserError("needs Pillow", source="automate-train grid", hint=pip_install("Pillow"))
    fixed = _fixed_positions(sweep, axes, {columns.name, rows.name}, _chosen(axes, at))
    cells = Cells(sweep)
    table = [
        [cells.at({**fixed, columns.name: column, rows.name: row}) for column in range(len(columns.values))]
        for row in range(len(rows.values))
    ]
    if not any(isinstance(cell, Path) for row in table for cell in row):
        hint = "--at chooses the values of the other axes"
        raise UserError("there is no picture on these axes", source=str(folder.path), hint=hint)
    shown = [axes[name].labels[position] for name, position in fixed.items() if len(axes[name].values) > 1]
    title = " · ".join([sweep.project, *shown])
    try:
        image = draw_table(title, columns.labels, rows.labels, table, side)
        out.parent.mkdir(parents=True, exist_ok=True)
        image.save(out)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot be written: {error}", source=str(out), key="-o", hint="a .png or .jpg") from error
    return f"{out}   {len(columns.values)} x {len(rows.values)}, {title}"


def _axis(axes: Mapping[str, GridAxis], name: str, flag: str) -> GridAxis:
    if name not in axes:
        hint = nearest(name, axes) or f"axes are {', '.join(axes)}"
        raise UserError(f"this sweep has no axis {name!r}", source="command line", key=flag, hint=hint)
    return axes[name]


def _chosen(axes: Mapping[str, GridAxis], at: Sequence[str]) -> dict[str, int]:
    """`KEY=VALUE` of each --at -> axis name: position."""
    chosen = {}
    for text in at:
        key, _, value = (part.strip() for part in text.partition("="))
        axis = _axis(axes, key, "--at")
        if value not in axis.values:
            hint = f"its values are {', '.join(axis.values[:20])}"
            raise UserError(f"{axis.name} has no value {value!r}", source="command line", key="--at", hint=hint)
        chosen[axis.name] = axis.values.index(value)
    return chosen


def _fixed_positions(
    sweep: SweepData, axes: Mapping[str, GridAxis], used: set[str], chosen: Mapping[str, int]
) -> dict[str, int]:
    """The positions on the axes that are neither rows nor columns: the chosen ones, else the last checkpoint and the
    first value of the others. An axis that the rest decides (runs by settings, settings by runs) is left out."""
    settings = {axis.label for axis in sweep.setting_axes}
    fixed: dict[str, int] = {}
    for axis in dict.fromkeys(axes.values()):
        decided = axis.name == "run" or ("run" in used and axis.name in settings)
        if axis.name not in used and axis.values and (not decided or axis.name in chosen):
            default = len(axis.values) - 1 if axis.name == sweep.picture_axes.unit else 0
            fixed[axis.name] = chosen.get(axis.name, default)
    return fixed


class Cells:
    """Pictures by their positions on all axes."""

    def __init__(self, sweep: SweepData) -> None:
        self.sweep = sweep
        self.settings = [{axis.label: axis.position(each) for axis in sweep.setting_axes} for each in sweep.settings]
        self.pictures: dict[tuple[int, tuple[int, int, int]], SamplePicture] = {}
        for run, data in enumerate(sweep.run_data):
            for picture in data.pictures:
                if (position := sweep.picture_axes.position(picture)) is not None:
                    self.pictures[run, position] = picture

    def at(self, positions: Mapping[str, int]) -> Path | str:
        """A picture's file, or why there is none."""
        run = next((run for run, settings in enumerate(self.settings)
                    if positions.get("run", run) == run
                    and all(positions.get(name, own) == own for name, own in settings.items())), None)  # fmt: skip
        if run is None:
            return "not in the sweep"
        checkpoint = positions[self.sweep.picture_axes.unit]
        picture = self.pictures.get((run, (checkpoint, positions["prompt"], positions["weight"])))
        if picture is not None:
            return self.sweep.root / picture.file if picture.file else picture.state
        state = self.sweep.runs[run].state
        return "no picture" if state == "succeeded" else state
