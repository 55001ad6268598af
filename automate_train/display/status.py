"""What a sweep's journal says, from any terminal: a table, JSON, and the results as CSV.

Covers: rendering the journal's rows. Not: changing anything; the journal is opened for reading only.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..config.keys import canonical
from ..store.history import Progress, after
from ..store.journal import Journal, Row
from ..store.layout import AttemptFolder, SweepFolder, find_sweep, replace
from ..trainers import load


def open_sweep(path: str | Path) -> tuple[Journal, SweepFolder]:
    """The journal of a sweep's folder (`<temp_dir>/<project>`), or of a temp_dir that holds exactly one sweep."""
    folder = find_sweep(path)
    return Journal(folder.journal, read_only=True), folder


def progress_of(row: Row, folder: SweepFolder) -> Progress:
    """How far the newest attempt is, from what its trainer tells."""
    progress = Progress()
    if row.folder:
        attempt = AttemptFolder(folder.path / row.folder)
        for event in load(row.options.get("trainer", "sd-scripts")).events(attempt, 0)[0]:
            progress = after(progress, event)
    return progress


def as_json(journal: Journal, folder: SweepFolder) -> dict[str, Any]:
    """One object: what `status --json` prints."""
    notes = journal.notes()
    waiting: dict[str, str] = notes.get("waiting") or {}
    runs = []
    for row in journal.rows():
        progress = progress_of(row, folder) if row.state == "running" else None
        why = "" if progress else waiting.get(row.key, "")
        runs.append(
            {
                "index": row.index,
                "number": row.number,
                "key": row.key,
                "name": row.name,
                "state": "waiting" if why else row.state,
                "reason": why or row.reason,
                "varied": dict(row.varied),
                "attempt": row.attempt,
                "devices": list(row.devices),
                "step": progress.step if progress else row.facts.get("steps"),
                "total_steps": progress.total if progress else None,
                "loss": _finite(progress.loss if progress else row.facts.get("loss")),
                "mean_loss": _finite(progress.mean_loss if progress else row.facts.get("mean_loss")),
                "seconds": row.facts.get("seconds"),
                "exit_code": row.exit_code,
                "folder": str(folder.path / row.folder) if row.folder else "",
                "checkpoints": [path for path, _, _ in journal.checkpoints(row.key)],
            }
        )
    return {
        "project": folder.path.name,
        "folder": str(folder.path),
        "state": notes.get("state", ""),
        "samples": notes.get("samples") or {},
        "runs": runs,
    }


def lines(journal: Journal, folder: SweepFolder) -> Iterator[str]:
    """The table as plain text, then one line of sums and, for each run that failed, why."""
    told = as_json(journal, folder)
    runs = told["runs"]
    width = max((len(run["name"]) for run in runs), default=4)
    yield f"{'run':>5}  {'name':<{width}}  {'state':<10}  {'step':>11}  {'loss':>9}  {'seconds':>8}"
    counts: dict[str, int] = {}
    for run in runs:
        counts[run["state"]] = counts.get(run["state"], 0) + 1
        step = "" if run["step"] is None else str(run["step"])
        step += f"/{run['total_steps']}" if run["total_steps"] else ""
        loss = "" if run["loss"] is None else f"{run['loss']:.4g}" if isinstance(run["loss"], float) else run["loss"]
        seconds = "" if run["seconds"] is None else f"{run['seconds']:.1f}"
        row = f"{run['number']:>5}  {run['name']:<{width}}  {run['state']:<10}  {step:>11}  {loss:>9}  {seconds:>8}"
        yield row.rstrip()
    yield ", ".join(f"{count} {state}" for state, count in counts.items()) or "no run has begun"
    yield from samples_lines(told["samples"])
    for run in runs:
        if run["state"] == "waiting" and run["reason"]:
            yield f"run {run['number']} waiting: {run['reason']}"
        if run["state"] in ("failed", "lost"):
            yield f"run {run['number']}: {run['reason']}\n      log: {run['folder']}/console.log"


def samples_lines(samples: Mapping[str, Any]) -> Iterator[str]:
    """What the sampler last noted: pictures by state, how many are left, servers in trouble."""
    counts = {key: count for key, count in samples.items() if isinstance(count, int) and count}
    left = counts.pop("left", 0)
    if counts or left:
        parts = [f"{count} {state.replace('_', ' ')}" for state, count in counts.items()]
        yield f"samples: {', '.join([*parts, f'{left} to come'] if left else parts)}"
    for url, trouble in (samples.get("servers") or {}).items():
        yield f"samples: {url}: {trouble}"


MEASURES = ("final_loss", "mean_loss", "steps", "seconds", "reason", "checkpoint", "lora", "folder")


def write_results(journal: Journal, folder: SweepFolder) -> Path:
    """results.csv, one line a run: index, name, state, the varied keys, what was measured, all other options."""
    import csv
    import io

    rows = list(journal.rows())
    varied = list(dict.fromkeys(key for row in rows for key in row.varied))
    shown = {canonical(key) for key in varied}
    options = [key for key in dict.fromkeys(key for row in rows for key in row.options) if key not in shown]
    text = io.StringIO()
    out = csv.writer(text)
    out.writerow(["index", "name", "state", *varied, *MEASURES, *options])
    for row in rows:
        measured = (
            *(row.facts.get(name) for name in ("loss", "mean_loss", "steps", "seconds")),
            row.reason,
            row.facts.get("checkpoint"),
            *(row.facts.get("delivered") or [""])[:1],
            str(folder.path / row.folder) if row.folder else "",
        )
        values = (row.varied.get(key, row.options.get(canonical(key))) for key in varied)
        cells = (row.index, row.name, row.state, *values, *measured, *(row.options.get(key) for key in options))
        out.writerow([_cell(cell) for cell in cells])
    replace(folder.results, text.getvalue())
    return Path(folder.results)


def _cell(value: Any) -> Any:
    import json

    if value is None:
        return ""
    if isinstance(value, (bool, list, dict)):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        # A spreadsheet would run it as a formula; numbers are not texts and stay as they are.
        return value if _is_number(value) else f"'{value}"
    return value


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _finite(value: Any) -> Any:
    """JSON has no NaN and no infinity: the text says it."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
