"""Stars and notes of a person, as the page exports them.

Covers: reading marks.json, which run it chooses. Not: making marks (`web/js/marks.js`).

{"kind": "automate-train marks", "project": "...", "marks": [{"id": "<key8>" or "<key8>/<moment>/<prompt>/<weight>",
"run": "<key>", "index": 3, "star": true, "note": "...", "at": 1234.5, "epoch": 2, "prompt": "0"}]}
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..store.journal import Row

MOST_BYTES = 16 << 20


def read(path: str | Path) -> list[dict[str, Any]]:
    """The marks of a file; `UserError` where it holds none."""
    hint = "the page's Marks > Export writes such a file"
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", source=str(path), key="--marks", hint=hint) from None
    try:
        found = json.loads(data[:MOST_BYTES])
        marks = found["marks"]
        assert isinstance(marks, list)
    except (ValueError, KeyError, TypeError, AssertionError, RecursionError):
        raise UserError("is no file of marks", source=str(path), key="--marks", hint=hint) from None
    return [mark for mark in marks if isinstance(mark, dict) and isinstance(mark.get("id"), str)]


def starred(marks: Sequence[Mapping[str, Any]], rows: Sequence[Row]) -> dict[str, list[Mapping[str, Any]]]:
    """Run key -> its starred marks, for runs that this sweep has."""
    keys = {row.key for row in rows}
    chosen: dict[str, list[Mapping[str, Any]]] = {}
    for mark in marks:
        if mark.get("star") is True and mark.get("run") in keys:
            chosen.setdefault(str(mark["run"]), []).append(mark)
    return chosen


def choose(marks: Sequence[Mapping[str, Any]], rows: Sequence[Row], source: str) -> Row:
    """The run that is starred itself; else the one with most starred pictures. `UserError` when that is not one."""
    chosen = starred(marks, rows)
    if not chosen:
        hint = "star a run or a picture in the page, then Marks > Export; or name it: --run INDEX"
        raise UserError("no run of this sweep is starred", source=source, key="--marks", hint=hint)
    whole = {key for key, each in chosen.items() if any("/" not in str(mark["id"]) for mark in each)}
    most = max(len(each) for each in chosen.values())
    best = whole or {key for key, each in chosen.items() if len(each) == most}
    found = [row for row in rows if row.key in best]
    if len(found) > 1:
        names = ", ".join(f"{row.index} ({row.name})" for row in found[:8])
        hint = f"choose one: --run {found[0].index}"
        raise UserError(f"{len(found)} runs are starred alike: {names}", source=source, key="--marks", hint=hint)
    return found[0]
