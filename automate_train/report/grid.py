"""`automate-train grid`: the labelled X/Y grid that people post, as the WebUI's X/Y/Z plot makes it.

Covers: which picture lies where for two axes and the values of the others. Not: drawing (`canvas`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UserError, nearest
from ..store.layout import SweepFolder
from .page_data import Found


@dataclass(frozen=True)
class Line:
    """An axis with the labels of its places."""

    name: str
    labels: tuple[str, ...]
    texts: tuple[str, ...]
    """What a person types for each place."""


def lines_of(found: Found) -> dict[str, Line]:
    """Every axis that a grid can have, by name."""
    axes = found.axes()
    lines = {}
    for dim in found.dims():
        texts = tuple(" + ".join(value) for value in dim.values)
        for key in (dim.label, *dim.keys):
            lines[key] = Line(dim.label, tuple(f"{dim.label} = {text}" for text in texts), texts)
    moments = tuple(map(str, axes.moments))
    lines[axes.unit] = Line(axes.unit, tuple(f"{axes.unit} {moment}" for moment in moments), moments)
    ids = axes.prompt_ids()
    shown = tuple(f"{name}: {words}" for name, (_, words) in zip(ids, axes.prompts, strict=True))
    lines["prompt"] = Line("prompt", shown, tuple(ids))
    weights = tuple("as written" if weight is None else f"{weight:g}" for weight in axes.weights)
    lines["weight"] = Line("weight", tuple(f"weight {weight}" for weight in weights), weights)
    indexes = tuple(str(row.index) for row in found.rows)
    lines["run"] = Line("run", tuple(row.name for row in found.rows), indexes)
    return lines


def write_grid(folder: SweepFolder, x: str, y: str, chosen: Sequence[str], side: int, out: Path) -> str:
    """Draw it; a sentence that says what is in it. `UserError` for unknown axes and values."""
    from .assemble import gather

    found = gather(folder)
    lines = lines_of(found)
    across, down = _line(lines, x, "--x"), _line(lines, y, "--y")
    if across == down:
        raise UserError("is the same axis as --x", source="command line", key="--y")
    at: dict[str, int] = {}
    for text in chosen:
        key, _, value = text.partition("=")
        line = _line(lines, key.strip(), "--at")
        if value.strip() not in line.texts:
            hint = f"its values are {', '.join(line.texts[:20])}"
            raise UserError(f"{value.strip()!r} is no value of {line.name}", key="--at", hint=hint)
        at[line.name] = line.texts.index(value.strip())
    free = _free(found, lines, {across.name, down.name}, at)
    cells = Cells(found, list(dict.fromkeys(line.name for line in lines.values())))
    table: list[list[Path | str]] = [
        [cells.at(folder.path, {**free, across.name: column, down.name: row}) for column in range(len(across.labels))]
        for row in range(len(down.labels))
    ]
    if not any(isinstance(cell, Path) for row in table for cell in row):
        raise UserError("no picture lies on these axes", source=str(folder.path), hint="--at chooses the other values")
    said = (lines[name].labels[place] for name, place in free.items() if len(lines[name].texts) > 1)
    title = " · ".join([found.project, *said])
    from .canvas import draw
    from .thumbs import have_pillow

    if not have_pillow():
        raise UserError("needs Pillow", source="automate-train grid", hint="pip install 'automate-train[report]'")
    try:
        image = draw(title, across.labels, down.labels, table, side)
        out.parent.mkdir(parents=True, exist_ok=True)
        image.save(out)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot be written: {error}", source=str(out), key="-o", hint="a .png or .jpg") from error
    return f"{out}   {len(across.labels)} x {len(down.labels)}, {title}"


def _line(lines: dict[str, Line], name: str, flag: str) -> Line:
    if name not in lines:
        hint = nearest(name, lines) or f"axes are {', '.join(lines)}"
        raise UserError(f"{name!r} is no axis of this sweep", source="command line", key=flag, hint=hint)
    return lines[name]


def _free(found: Found, lines: dict[str, Line], used: set[str], at: dict[str, int]) -> dict[str, int]:
    """The places of the axes that are neither rows nor columns: as chosen, else the last moment and the first value."""
    unit = found.axes().unit
    free: dict[str, int] = {}
    dims = {dim.label for dim in found.dims()}
    for line in {each.name: each for each in lines.values()}.values():
        whole = line.name == "run" or ("run" in used and line.name in dims)
        if line.name not in used and line.texts and (not whole or line.name in at):
            free[line.name] = at.get(line.name, len(line.texts) - 1 if line.name == unit else 0)
    return free


class Cells:
    """Pictures by their place."""

    def __init__(self, found: Found, names: Sequence[str]) -> None:
        self.found, self.names = found, names
        dims, settings = found.dims(), found.settings()
        axes = found.axes()
        self.runs = [{dim.label: dim.place(values) for dim in dims} for values in settings]
        self.files: dict[tuple[int, tuple[int, int, int]], dict[str, Any]] = {}
        for run, reading in enumerate(found.readings):
            for picture in reading.pictures if reading else ():
                if (place := axes.place(picture)) is not None:
                    self.files[(run, place)] = picture
        self.unit = axes.unit

    def at(self, root: Path, places: dict[str, int]) -> Path | str:
        """A file, or why there is none."""
        runs = [
            run
            for run, where in enumerate(self.runs)
            if places.get("run", run) == run and all(places.get(name, place) == place for name, place in where.items())
        ]
        if not runs:
            return "not in the sweep"
        run = runs[0]
        picture = self.files.get((run, (places[self.unit], places["prompt"], places["weight"])))
        if picture is not None and picture["file"]:
            return root / str(picture["file"])
        row = self.found.rows[run]
        return str(picture["state"]) if picture else row.state if row.state != "succeeded" else "no picture"
