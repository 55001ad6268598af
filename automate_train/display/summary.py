"""The last lines of a sweep.

Covers: the counts, each run that failed in this session with its reason and its last lines, where things are, what to
type next.
Not: how a sweep stands while it runs (`status`, `live`).
"""

from __future__ import annotations

import os
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..config.masking import Masker
from ..records import RunRecord
from ..store.journal import Journal
from ..store.layout import SweepFolder
from ..trainers.failure_causes import without_launcher
from ..trainers.loss_meaning import loss_note
from .answer_lines import answer_lines
from .plain import duration
from .shell_command import shell_command
from .status import judged_lines, samples_lines


def lines(
    folder: SweepFolder,
    journal: Journal,
    seconds: float,
    argv: Sequence[str],
    page: Path | None,
    first: int,
    masker: Masker,
) -> Iterator[str]:
    """`argv`: the command that goes on where this ended; `page`: the report, if it could be made; `first`: the id of
    the first attempt that can have ended in this session; `masker`: a trainer may have printed a secret."""
    records = [record for record in journal.records() if record.in_sweep]
    counts = Counter(record.state for record in records)
    yield f"\n{', '.join(f'{count} {state}' for state, count in counts.items())} ({duration(seconds)})"
    if counts["aborted"]:
        yield "aborted: they did not begin because a run failed (--on_failure continue goes on with the others)"
    here = [record for record in records if record.newest is not None and record.newest.id >= first]
    failed = [record for record in records if record.state in ("failed", "lost")]
    for record in failed:
        if record in here:
            yield from _failure(folder, record, masker)
    path = str(folder.path)
    if earlier := sum(record not in here for record in failed):
        yield f"{earlier} failed in an earlier session: {shell_command('status', path)}"
    troubles = Counter(str(record.metrics["trouble"]) for record in here if record.metrics.get("trouble"))
    for trouble, count in troubles.items():
        yield f"hook: {trouble} ({count} run{'s' if count > 1 else ''})"
    finished = [record for record in records if record.state == "succeeded"]
    if (note := loss_note(record.varied for record in finished)) and len(finished) > 1:
        yield note
    yield from answer_lines(folder, records, argv)
    samples = journal.notes().get("samples")
    yield from samples_lines(samples if isinstance(samples, dict) else {}, "missing")
    yield from judged_lines(folder)
    if targets := {os.path.dirname(path) for record in finished for path in record.metrics.get("delivered") or []}:
        yield f"LoRAs    {', '.join(sorted(targets))}"
    if folder.logs.is_dir():
        board = f"   (tensorboard --logdir {shlex.quote(str(folder.logs))})" if _has_tensorboard(records) else ""
        yield f"logs     {folder.logs}{board}"
    yield f"table    {folder.results}"
    if page is not None:
        yield f"report   {page}"
    yield f"folders  {folder.path}"
    if len(finished) < len(records):
        yield f"next     the same command goes on where this ended:\n  {shell_command(*argv)}"
    elif page is not None:
        yield f"next     open {page} in a browser"
    else:
        yield f"next     {shell_command('status', path)}"


def _has_tensorboard(records: Sequence[RunRecord]) -> bool:
    """Whether a run logs to TensorBoard, alone or beside other trackers."""
    return any(word in str(record.options.get("log_with")) for record in records for word in ("tensorboard", "all"))


def _failure(folder: SweepFolder, record: RunRecord, masker: Masker) -> Iterator[str]:
    yield f"\n{record.label} (id {record.id}) {record.name} {record.state}: {record.reason}"
    attempt = folder.attempt(record.folder)
    for line in without_launcher(attempt.tail(100))[-15:]:
        yield f"  | {masker.text(line)}"
    yield f"  log: {attempt.console}"
