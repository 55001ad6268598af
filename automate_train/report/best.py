"""The chosen run's settings as a default config file for the next sweep.

Covers: which run has the stars, its options as JSON with comments under the names that users write.
Not: reading the file of marks (`marks`), printing (`cli`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from ..config.key_sets import ALIASES, BUILT_IN, MASKED, OLD_SPELLINGS
from ..errors import UserError
from ..records import RunRecord
from ..sweep.choice import describe
from .marks import Mark, starred

USER_NAMES = {inside: old for old, inside in ALIASES.items() if old not in OLD_SPELLINGS and old != "lr_warmup_ratio"}


def starred_run(runs: Sequence[RunRecord], marks: Sequence[Mark], source: str) -> RunRecord:
    """The run that has a star itself, else the run with the most starred pictures. `UserError` when that is not
    exactly one run."""
    stars = starred(marks, runs)
    if not stars:
        hint = "star a run or a picture in the page, then Marks > Export; or name the run: --run RUN"
        raise UserError("no run of this sweep is starred", source=source, key="--marks", hint=hint)
    itself = {key for key, each in stars.items() if any("/" not in str(mark["id"]) for mark in each)}
    most = max(len(each) for each in stars.values())
    keys = itself or {key for key, each in stars.items() if len(each) == most}
    chosen = [run for run in runs if run.key in keys]
    if len(chosen) > 1:
        names = ", ".join(map(describe, chosen[:8]))
        hint = f"choose one: --run {chosen[0].id}"
        raise UserError(f"{len(chosen)} runs have equally many stars: {names}", source=source, key="--marks", hint=hint)
    return chosen[0]


def config_text(run: RunRecord, words: Sequence[str] = (), marks: Sequence[Mark] = ()) -> str:
    """A default config file: the run's options without secrets and without values that are built in anyway. Comments
    say which run it is, `words` on it, and its stars and notes in `marks`, which are of all runs."""
    options = {
        USER_NAMES.get(key, key): value
        for key, value in run.options.items()
        if key not in MASKED and not (key in BUILT_IN and BUILT_IN[key] == value)
    }
    lines = [json.dumps({key: value}, ensure_ascii=False)[1:-1] for key, value in options.items()]
    body = ",\n".join(f"    {line}" for line in lines)
    comments = _comments(run, words, starred(marks, [run]).get(run.key, []))
    return "{\n" + "".join(f"    // {line}\n" for line in comments) + body + "\n}\n"


def _comments(run: RunRecord, words: Sequence[str], marks: Sequence[Mark]) -> Iterator[str]:
    project = _one_line(run.options.get("project_name_base"))
    yield f"{run.label.capitalize()} (id {run.id}) of {project}: {_one_line(run.name)}"
    loss = run.metrics.get("loss")
    if isinstance(loss, float):
        yield f"{run.state}, final loss {loss:.4g}"
    yield from map(_one_line, words)
    for mark in marks:
        where = [f"{name} {_one_line(mark[name])}" for name in ("epoch", "step", "prompt", "weight") if name in mark]
        note = _one_line(mark.get("note"))
        yield " ".join(["starred", *([f"({', '.join(where)})"] if where else []), *([f"- {note}"] if note else [])])


def _one_line(value: object) -> str:
    return " ".join(str(value if value is not None else "").split())[:300]
