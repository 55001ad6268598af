"""Marks: the stars and notes that a person gives to runs and pictures, as the page exports them.

Covers: reading the exported file, which runs are starred.
Not: making marks (`web/js/marks.js`), choosing a run (`best`).

{"kind": "automate-train marks", "project": "...", "marks": [{"id": "<key8>" or "<key8>/<checkpoint>/<prompt>/<weight>",
"run": "<key>", "index": 3, "star": true, "note": "...", "at": 1234.5, "epoch": 2, "prompt": "0"}]}
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..errors import UserError
from ..records import RunRecord

Mark = Mapping[str, object]
"""One object of the file, untrusted but for its `id`."""
MOST_BYTES = 16 << 20


def read_marks(path: str | Path) -> list[Mark]:
    """The marks of a file; `UserError` when it is not a file of marks."""
    hint = "the page's Marks > Export writes such a file"
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", source=str(path), key="--marks", hint=hint) from None
    try:
        marks = json.loads(data[:MOST_BYTES])["marks"]
    except (ValueError, KeyError, TypeError, RecursionError):
        marks = None
    if not isinstance(marks, list):
        raise UserError("this is not a file of marks", source=str(path), key="--marks", hint=hint)
    return [mark for mark in marks if isinstance(mark, dict) and isinstance(mark.get("id"), str)]


def starred(marks: Sequence[Mark], runs: Sequence[RunRecord]) -> dict[str, list[Mark]]:
    """Run key -> its starred marks, for those of these runs that have any."""
    keys = {run.key for run in runs}
    found: dict[str, list[Mark]] = {}
    for mark in marks:
        if mark.get("star") is True and mark.get("run") in keys:
            found.setdefault(str(mark["run"]), []).append(mark)
    return found
