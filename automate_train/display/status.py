"""How a sweep stands, from any terminal: a table, or JSON.

Covers: rendering the journal's runs and their histories. Not: changing anything; the journal is opened for reading
only.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from ..store.history import Histories, RunHistory
from ..store.journal import Journal
from ..store.layout import SweepFolder
from ..trainers import events_of


def as_json(journal: Journal, folder: SweepFolder, histories: Histories | None = None) -> dict[str, Any]:
    """One object: what `status --json` prints. `histories`: those of the last time, which go on where they ended."""
    notes = journal.notes()
    waiting, samples = (found if isinstance(found := notes.get(name), dict) else {} for name in ("waiting", "samples"))
    histories = histories_of(journal, folder) if histories is None else histories
    return {
        "project": folder.path.name,
        "folder": str(folder.path),
        "state": notes.get("state", ""),
        "samples": samples,
        "runs": [_run(histories.brief(record), folder, waiting) for record in journal.records()],
    }


def histories_of(journal: Journal, folder: SweepFolder) -> Histories:
    return Histories(folder, journal, events_of)


def _run(history: RunHistory, folder: SweepFolder, waiting: Mapping[str, Any]) -> dict[str, Any]:
    record, progress = history.record, history.progress
    newest, ended = record.newest, record.newest is not None and record.newest.outcome is not None
    running = record.state == "running"
    why = "" if running else str(waiting.get(record.key, ""))
    return {
        "index": record.index,
        "number": record.number,
        "key": record.key,
        "name": record.name,
        "state": "waiting" if why else record.state,
        "reason": why or (progress.waits if running else record.reason),
        "varied": dict(record.varied),
        "attempt": newest.number if newest else 0,
        "resumed_from": progress.start,
        "devices": list(newest.devices) if newest else [],
        "step": progress.step if newest else None,
        "total_steps": None if ended else progress.total,
        "loss": finite(progress.loss),
        "mean_loss": finite(progress.mean_loss),
        "seconds": history.seconds,
        "exit_code": newest.outcome.exit_code if newest and newest.outcome else None,
        "folder": str(folder.path / newest.folder) if newest else "",
        "checkpoints": [each.path for each in history.checkpoints],
    }


def lines(journal: Journal, folder: SweepFolder, histories: Histories | None = None) -> Iterator[str]:
    """The table as plain text, then one line of sums and, for each run that failed, why."""
    status = as_json(journal, folder, histories)
    runs = status["runs"]
    width = max((len(run["name"]) for run in runs), default=4)
    yield f"{'run':>5}  {'name':<{width}}  {'state':<10}  {'step':>11}  {'loss':>9}  {'seconds':>8}"
    for run in runs:
        step = "" if run["step"] is None else str(run["step"])
        step += f"/{run['total_steps']}" if run["total_steps"] else ""
        loss = "" if run["loss"] is None else run["loss"] if isinstance(run["loss"], str) else f"{run['loss']:.4g}"
        seconds = "" if run["seconds"] is None else f"{run['seconds']:.1f}"
        row = f"{run['number']:>5}  {run['name']:<{width}}  {run['state']:<10}  {step:>11}  {loss:>9}  {seconds:>8}"
        yield row.rstrip()
    counts = Counter(run["state"] for run in runs)
    yield ", ".join(f"{count} {state}" for state, count in counts.items()) or "no run has begun"
    yield from samples_lines(status["samples"])
    for run in runs:
        if run["state"] == "waiting" and run["reason"]:
            yield f"run {run['number']} waiting: {run['reason']}"
        if run["state"] == "running" and run["reason"]:
            yield f"run {run['number']}: {run['reason']}"
        if run["state"] in ("failed", "lost"):
            yield f"run {run['number']}: {run['reason']}\n      log: {folder.attempt(run['folder']).console}"


def samples_lines(samples: Mapping[str, Any]) -> Iterator[str]:
    """What the sampler last noted: pictures by state, how many are left, servers in trouble."""
    counts = {key: count for key, count in samples.items() if isinstance(count, int) and count}
    left = counts.pop("left", 0)
    if counts or left:
        parts = [f"{count} {state.replace('_', ' ')}" for state, count in counts.items()]
        yield f"samples: {', '.join([*parts, f'{left} to come'] if left else parts)}"
    servers = samples.get("servers")
    for url, trouble in (servers if isinstance(servers, dict) else {}).items():
        yield f"samples: {url}: {trouble}"


def finite(value: float | None) -> float | str | None:
    """JSON has neither NaN nor infinity: they become text."""
    return str(value) if value is not None and not math.isfinite(value) else value
