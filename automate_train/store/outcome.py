"""outcome.json of an attempt: how it ended and what it left.

Covers: writing and reading it; which metrics can be trusted, here and in the journal. Not: when it is written
(`journal`), deciding how an attempt ended (`training`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, get_args

from ..records import Outcome, OutcomeKind
from .files import create, is_count, is_number, is_text, read_json, write
from .layout import AttemptFolder

KINDS = get_args(OutcomeKind)


class OutcomeFile(NamedTuple):
    outcome: Outcome
    ended: float
    """Seconds since 1970."""
    metrics: Mapping[str, Any]


def write_outcome(attempt: AttemptFolder, outcome: Outcome, ended: float, metrics: Mapping[str, Any]) -> None:
    content = {**outcome._asdict(), "ended": ended, "metrics": dict(metrics)}
    text = json.dumps(content, ensure_ascii=False, default=str) + "\n"
    try:
        create(attempt.outcome, text)
    except FileExistsError:  # half of one, by an orchestrator that was killed; or it is written anew
        write(attempt.outcome, text)


def read_outcome(attempt: AttemptFolder) -> OutcomeFile | None:
    """None while it runs, when its orchestrator was killed, and for attempts of the first edition."""
    found = read_json(attempt.outcome) or {}
    kind, ended = found.get("kind"), found.get("ended")
    if kind is None or kind not in KINDS or not is_number(ended):
        return None
    code = found.get("exit_code")
    code = code if is_number(code) and isinstance(code, int) and abs(code) < 1 << 31 else None
    outcome = Outcome(kind, code, str(found.get("reason") or ""), str(found.get("cause") or ""))
    return OutcomeFile(outcome, float(ended), safe_metrics(found.get("metrics")))


def safe_metrics(found: object) -> dict[str, Any]:
    """What an attempt has left, without what has another type than readers count on."""
    metrics = found if isinstance(found, dict) else {}
    return {name: value for name, value in metrics.items() if METRICS.get(name, is_text)(value)}


def _is_loss(value: object) -> bool:
    """A loss may be NaN, and is null where none was reported."""
    return value is None or isinstance(value, float) or is_number(value)


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(map(is_text, value))


METRICS: Mapping[str, Callable[[object], bool]] = {
    "loss": _is_loss,
    "epoch_loss": _is_loss,
    "epoch_loss_step": is_count,
    "epoch_nan_steps": is_count,
    "seconds": is_number,
    "steps": is_count,
    "total_steps": is_count,
    "peak_memory": is_count,
    "delivered": _is_texts,
}
