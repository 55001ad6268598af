"""The last lines of a sweep.

Covers: the counts, each failed run with its reason and its last lines, where things are, what to type next.
Not: how a sweep stands while it runs (`status`, `live`).
"""

from __future__ import annotations

import os
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from math import isnan
from pathlib import Path

from ..records import RunRecord
from ..store.journal import Journal
from ..store.layout import SweepFolder
from ..trainers.failure_causes import without_launcher
from .plain import duration
from .status import samples_lines


def lines(
    folder: SweepFolder, journal: Journal, seconds: float, argv: Sequence[str], page: Path | None
) -> Iterator[str]:
    """`argv`: the command that goes on where this ended; `page`: the report, if it could be made."""
    records = list(journal.records())
    counts = Counter(record.state for record in records)
    yield f"\n{', '.join(f'{count} {state}' for state, count in counts.items())} ({duration(seconds)})"
    for record in records:
        if record.state in ("failed", "lost"):
            yield from _failure(folder, record)
    finished = [record for record in records if record.state == "succeeded"]
    yield from _best(finished)
    samples = journal.notes().get("samples")
    yield from samples_lines(samples if isinstance(samples, dict) else {})
    if targets := {os.path.dirname(path) for record in finished for path in record.metrics.get("delivered") or []}:
        yield f"LoRAs    {', '.join(sorted(targets))}"
    if folder.logs.is_dir():
        yield f"logs     {folder.logs}   (tensorboard --logdir {shlex.quote(str(folder.logs))})"
    yield f"table    {folder.results}"
    if page is not None:
        yield f"report   {page}"
    yield f"folders  {folder.path}"
    if len(finished) < len(records):
        yield f"next     the same command goes on where this ended:\n  {shlex.join(['automate-train', *argv])}"
    else:
        yield f"next     automate-train status {shlex.quote(str(folder.path))}"


def _failure(folder: SweepFolder, record: RunRecord) -> Iterator[str]:
    yield f"\nrun {record.number} {record.name} {record.state}: {record.reason}"
    attempt = folder.attempt(record.folder)
    for line in without_launcher(attempt.tail(100))[-15:]:
        yield f"  | {line}"
    yield f"  log: {attempt.console}"


def _best(finished: list[RunRecord]) -> Iterator[str]:
    """The lowest mean loss, where there is something to compare."""
    reported = ((record.metrics.get("mean_loss"), record) for record in finished)
    losses = [(loss, record) for loss, record in reported if isinstance(loss, float) and not isnan(loss)]
    if len(losses) > 1:
        loss, record = min(losses, key=lambda pair: pair[0])
        yield f"lowest mean loss: {loss:.4g}, run {record.number} {record.name}"
