"""results.csv: one line a run.

Covers: index (of those that are part of the sweep as it is now), id, name, state, the setting's name and the seed, the
keys that vary, what was measured over all attempts, all other options. Not: when it is written (`pipeline`).
"""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from ..config.key_sets import canonical
from ..records import SEED
from ..store.files import write
from ..store.history import Histories, RunHistory
from ..store.journal import Journal
from ..store.layout import SweepFolder
from ..trainers import events_of

MEASURES = ("final_loss", "epoch_loss", "epoch_nan_steps", "steps", "seconds", "reason", "checkpoint", "lora", "folder")


def write_results(journal: Journal, folder: SweepFolder) -> Path:
    histories = Histories(folder, journal, events_of)
    records = list(journal.records())
    varied = list(dict.fromkeys(key for record in records for key in record.setting))
    shown = {*map(canonical, varied), SEED}
    options = [key for key in dict.fromkeys(key for record in records for key in record.options) if key not in shown]
    text = io.StringIO()
    out = csv.writer(text)
    out.writerow(["index", "id", "name", "state", "setting", SEED, *varied, *MEASURES, *options])
    for record in records:
        values = (record.varied.get(key, record.options.get(canonical(key))) for key in varied)
        cells = (*values, *_measures(histories.brief(record), folder), *(record.options.get(key) for key in options))
        index = record.index if record.in_sweep else None
        about = (index, record.id, record.name, record.state, record.setting_name, record.seed)
        out.writerow([_cell(cell) for cell in (*about, *cells)])
    write(folder.results, text.getvalue())
    return folder.results


def _measures(history: RunHistory, folder: SweepFolder) -> tuple[Any, ...]:
    record, progress = history.record, history.progress
    if record.newest is None:
        return ("",) * len(MEASURES)
    delivered = record.metrics.get("delivered")
    lora = delivered[0] if isinstance(delivered, list) and delivered else ""
    path = str(folder.path / record.folder)
    losses = (progress.loss, progress.epoch_loss, progress.epoch_nan_steps)
    return (*losses, progress.step, history.seconds, record.reason, progress.checkpoint, lora, path)


def _cell(value: Any) -> Any:
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
