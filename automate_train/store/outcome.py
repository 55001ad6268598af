"""outcome.json of an attempt: how it ended and what it left.

Covers: writing it, and the journal's row after it; reading it. Not: deciding how an attempt ended (`training`).
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from ..records import Attempt, Launch, Outcome, OutcomeKind
from .files import read_json, write
from .journal import Journal
from .launch import write_launch
from .layout import AttemptFolder

KINDS = get_args(OutcomeKind)


@dataclass(frozen=True)
class OutcomeFile:
    outcome: Outcome
    ended: float
    """Seconds since 1970."""
    metrics: Mapping[str, Any]


def end_attempt(journal: Journal, attempt: Attempt, outcome: Outcome, ended: float, metrics: Mapping[str, Any]) -> None:
    """Write down how an attempt ended: first in its folder, then in the journal."""
    folder = AttemptFolder(journal.path.parent / attempt.folder)
    said = {**vars(outcome), "ended": ended, "metrics": dict(metrics)}
    with contextlib.suppress(OSError):  # a full disk: the journal's row is all that is left
        if not folder.launch.exists() and (run := journal.record(attempt.run_key)) is not None:
            write_launch(folder, Launch((), ""), run, attempt.devices, attempt.started)  # it could not be started
        write(folder.outcome, json.dumps(said, ensure_ascii=False, default=str, indent=1) + "\n")
    journal.end(attempt.id, outcome, ended, metrics)


def read_outcome(attempt: AttemptFolder) -> OutcomeFile | None:
    """None while it runs, when its orchestrator was killed, and for attempts of the first edition."""
    found = read_json(attempt.outcome) or {}
    kind, code, ended, metrics = (found.get(name) for name in ("kind", "exit_code", "ended", "metrics"))
    if kind is None or kind not in KINDS or not isinstance(ended, (int, float)) or not isinstance(metrics, dict):
        return None
    code = code if isinstance(code, int) and not isinstance(code, bool) and abs(code) < 1 << 31 else None
    outcome = Outcome(kind, code, str(found.get("reason") or ""), str(found.get("cause") or ""))
    return OutcomeFile(outcome, float(ended), metrics)
