"""votes.jsonl: which of two pictures a person preferred, one vote a line.

Covers: what a vote is, the one reader, the one appender. The page exports the same lines, so that a file of votes is
added to the sweep's own by `cat`. Not: what the votes say together (`judging/votes`), asking for them (`report`).

{"id": "<16 hex digits>", "at": 1234.5, "left": "<key8>/<checkpoint>/<prompt>/<weight>", "right": ..., "choice": "left"}
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from .files import LATEST, is_number
from .json_lines import append_line, read_lines

CHOICES = ("left", "right", "same", "undone")
"""`same`: no difference. `undone`: the vote of this id was taken back."""
ID = re.compile(r"[0-9a-f]{16}")
CELL = re.compile(r"[0-9a-f]{8}/[0-9]{1,15}/[0-9a-f-]{1,30}/(-|[0-9.e+-]{1,30})")


class Vote(NamedTuple):
    id: str
    at: float
    """Seconds since 1970."""
    left: str
    """The picture's place: the first 8 digits of its run's key, epoch or step, prompt, LoRA weight."""
    right: str
    choice: str
    """One of `CHOICES`."""


def vote_of(fields: Mapping[str, Any]) -> Vote | None:
    """None where the fields are no vote."""
    texts = {name: fields.get(name) for name in ("id", "left", "right", "choice")}
    at = fields.get("at")
    if not all(isinstance(text, str) for text in texts.values()) or not is_number(at) or not 0 <= at < LATEST:
        return None
    vote = Vote(at=float(at), **texts)  # type: ignore[arg-type]  # texts, as checked above
    cells = CELL.fullmatch(vote.left) and CELL.fullmatch(vote.right)
    return vote if ID.fullmatch(vote.id) and cells and vote.choice in CHOICES else None


def read_votes(file: Path) -> list[Vote]:
    """The votes that count, oldest first; none that was taken back."""
    return [vote for vote in read_all(file) if vote.choice != "undone"]


def read_all(file: Path) -> list[Vote]:
    """With those that were taken back; of several lines with one id the first, or the one that took it back."""
    found: dict[str, Vote] = {}
    for vote in filter(None, map(vote_of, read_lines(file))):
        if vote.choice == "undone" or vote.id not in found:
            found[vote.id] = vote
    return list(found.values())


def append_vote(file: Path, vote: Vote) -> None:
    """`OSError`: the disk refuses."""
    append_line(file, vote._asdict())
