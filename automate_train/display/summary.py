"""What a sweep says when it ends.

Covers: the counts, each failed run with its reason and its last lines, where things are, what to type next.
Not: how a sweep stands while it runs (`status`, `live`).
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from math import isnan
from pathlib import Path

from ..store.journal import Journal, Row
from ..store.layout import AttemptFolder, SweepFolder
from .live import duration
from .status import samples_lines


def lines(
    folder: SweepFolder, journal: Journal, seconds: float, argv: Sequence[str], page: Path | None
) -> Iterator[str]:
    """`argv`: the command that goes on where this ended; `page`: the report, if it could be made."""
    rows = list(journal.rows())
    counts: dict[str, int] = {}
    for row in rows:
        counts[row.state] = counts.get(row.state, 0) + 1
    yield f"\n{', '.join(f'{count} {state}' for state, count in counts.items())} ({duration(seconds)})"
    for row in rows:
        if row.state in ("failed", "lost"):
            yield from _failure(folder, row)
    finished = [row for row in rows if row.state == "succeeded"]
    yield from _best(finished)
    yield from samples_lines(journal.notes().get("samples") or {})
    if targets := {os.path.dirname(path) for row in finished for path in row.facts.get("delivered", [])}:
        yield f"LoRAs    {', '.join(sorted(targets))}"
    if folder.logs.is_dir():
        yield f"logs     {folder.logs}   (tensorboard --logdir {shlex.quote(str(folder.logs))})"
    yield f"table    {folder.results}"
    if page is not None:
        yield f"report   {page}"
    yield f"folders  {folder.path}"
    if len(finished) < len(rows):
        yield f"next     the same command goes on where this ended:\n  {shlex.join(['automate-train', *argv])}"
    else:
        yield f"next     automate-train status {shlex.quote(str(folder.path))}"


def _failure(folder: SweepFolder, row: Row) -> Iterator[str]:
    yield f"\nrun {row.number} {row.name} {row.state}: {row.reason}"
    attempt = folder.path / row.folder
    for line in AttemptFolder(attempt).tail(15):
        yield f"  | {line}"
    yield f"  log: {attempt / 'console.log'}"


def _best(rows: list[Row]) -> Iterator[str]:
    """The lowest mean loss, where there is something to compare."""
    losses = [(loss, row) for row in rows if isinstance(loss := row.facts.get("mean_loss"), float) and not isnan(loss)]
    if len(losses) > 1:
        loss, row = min(losses, key=lambda pair: pair[0])
        yield f"lowest mean loss: {loss:.4g}, run {row.number} {row.name}"
