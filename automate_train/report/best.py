"""The chosen run's settings as a default config file for the next sweep.

Covers: options of a run -> JSON with comments, under the names that users write. Not: which run (`marks`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..config.keys import ALIASES, BUILT_IN, MASKED, OLD_SPELLINGS
from ..store.journal import Row

USERS = {inside: old for old, inside in ALIASES.items() if old not in OLD_SPELLINGS and old != "lr_warmup_ratio"}


def config(row: Row, marks: Sequence[Mapping[str, Any]] = ()) -> str:
    """A default config file: the run's options but for secrets and what is built in anyway."""
    options = {
        USERS.get(key, key): value
        for key, value in row.options.items()
        if key not in MASKED and not (key in BUILT_IN and BUILT_IN[key] == value)
    }
    lines = [json.dumps({key: value}, ensure_ascii=False)[1:-1] for key, value in options.items()]
    body = ",\n".join(f"    {line}" for line in lines)
    return "{\n" + "".join(f"    // {line}\n" for line in _comments(row, marks)) + body + "\n}\n"


def _comments(row: Row, marks: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield f"Run {row.index} of {_line(row.options.get('project_name_base'))}: {_line(row.name)}"
    loss = row.facts.get("loss")
    if isinstance(loss, float):
        yield f"{row.state}, final loss {loss:.4g}"
    for mark in marks:
        where = [f"{name} {_line(mark[name])}" for name in ("epoch", "step", "prompt", "weight") if name in mark]
        note = _line(mark.get("note"))
        yield " ".join(["starred", *([f"({', '.join(where)})"] if where else []), *([f"- {note}"] if note else [])])


def _line(value: object) -> str:
    """One line, whatever a person typed."""
    return " ".join(str(value if value is not None else "").split())[:200]
