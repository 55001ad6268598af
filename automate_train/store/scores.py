"""scores.jsonl: what each checkpoint scored on each item, one JSON object a line.

Covers: the one reader and the one appender of the sweep's file; the scores that a trainer's own program has written
into its attempt's folder (`{"checkpoint", "item", "score"}` a line, docs/command.md). Both files are untrusted: a line
that is no score is skipped. Not: measuring (`judging`), comparing (`judging.statistics`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..records import Checkpoint, Score
from .events import ENDING, checkpoint_of, read_events
from .files import is_count, is_number, is_text
from .json_lines import append_line, read_lines
from .launch import read_launch
from .layout import ATTEMPT, AttemptFolder, SweepFolder

REPORTED = "reported"
"""The measure of scores that a trainer's own program has reported."""


def read_scores(folder: SweepFolder) -> list[Score]:
    """Every score of the sweep, in the order in which they were written, those that programs reported last. Of scores
    with the same measure, checkpoint and item the first counts."""
    found: dict[tuple[str, str, str], Score] = {}
    for score in (*_lines(folder.scores, _own), *_reported(folder)):
        found.setdefault((score.measure, score.checkpoint, score.item), score)
    return list(found.values())


def append_score(folder: SweepFolder, score: Score) -> None:
    """`OSError`: a full disk."""
    append_line(folder.scores, score._asdict())


def _lines(file: Path, read: Callable[[Mapping[str, Any]], Score | None]) -> Iterator[Score]:
    return filter(None, map(read, read_lines(file)))


def _own(fields: Mapping[str, Any]) -> Score | None:
    texts: dict[str, Any] = {name: fields.get(name) for name in ("run_key", "checkpoint", "measure", "item")}
    score = fields.get("score")
    if not all(map(is_text, texts.values())) or not texts["measure"] or not is_number(score):
        return None
    return Score(epoch=_count(fields.get("epoch")), step=_count(fields.get("step")), score=float(score), **texts)


def _count(value: object) -> int | None:
    return value if is_count(value) else None


def _reported(folder: SweepFolder) -> Iterator[Score]:
    """The scores in the attempts' folders."""
    for file in sorted(folder.path.glob("*/attempt-*/scores.jsonl")):
        inside = f"{file.parent.parent.name}/{file.parent.name}"
        if not ATTEMPT.fullmatch(inside):
            continue
        attempt = folder.attempt(inside)
        if (run := read_launch(attempt).run) is not None:
            yield from _of_attempt(attempt, inside, run.key)


def _of_attempt(attempt: AttemptFolder, inside: str, run_key: str) -> Iterator[Score]:
    events = (checkpoint_of(event, attempt.number) for event in read_events(attempt)[0])
    saved = {attempt.now(each.path): each for each in events if each is not None}

    def read(fields: Mapping[str, Any]) -> Score | None:
        checkpoint, item, score = fields.get("checkpoint"), fields.get("item"), fields.get("score")
        if not isinstance(checkpoint, str) or not isinstance(item, str) or not is_number(score):
            return None
        if not checkpoint:
            return Score("", "", None, None, REPORTED, item, float(score))
        path = os.path.normpath(attempt.now(checkpoint))
        epoch, step = _place(path, saved.get(path), fields)
        own = os.path.relpath(path, attempt.path)
        name = path if own.startswith("..") else f"{inside}/{own}"
        return Score(run_key, name, epoch, step, REPORTED, item, float(score))

    yield from _lines(attempt.scores, read)


def _place(path: str, saved: Checkpoint | None, fields: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """Epoch and step of a checkpoint: as the line says, as its event says, or as its name says."""
    epoch, step = _count(fields.get("epoch")), _count(fields.get("step"))
    if saved is not None:
        epoch, step = saved.epoch if epoch is None else epoch, saved.step if step is None else step
    named = ENDING.search(os.path.splitext(os.path.basename(path))[0])
    if named is not None and epoch is None and step is None:
        return (int(named["epoch"]) if named["epoch"] else None), (int(named["step"]) if named["step"] else None)
    return epoch, step
