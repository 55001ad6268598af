"""Rows of the journal -> records.

Covers: what a row may hold. SQLite has no checksums, so a damaged one is a `sqlite3.DatabaseError`, and damaged JSON
counts as null. Not: the queries (`journal`).
"""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from ..records import Attempt, Outcome, RunRecord
from .layout import ATTEMPT
from .outcome import KINDS, safe_metrics


def _folder(name: object) -> str:
    """The name of an attempt's folder; one that we never wrote may lead out of the sweep's folder."""
    if isinstance(name, str) and ATTEMPT.fullmatch(name):
        return name
    raise sqlite3.DatabaseError(f"it holds {name!r:.60}, which is not a folder of a run")


def run_of(row: sqlite3.Row) -> RunRecord:
    return RunRecord(
        str(row["run_key"]), _whole(row["position"]), _whole(row["run_number"]), str(row["name"]), str(row["slug"]),
        {key: str(value) for key, value in mapping(row["varied"]).items()}, mapping(row["options"]),
        unstarted="aborted" if row["state"] == "aborted" else "waiting", id=str(row["run_id"]),
        in_sweep=bool(row["in_sweep"]),
    )  # fmt: skip


def attempt_of(row: sqlite3.Row) -> Attempt:
    facts = mapping(row["facts"])
    kind, code = row["kind"], row["exit_code"]
    if kind is not None and kind not in KINDS:
        raise sqlite3.DatabaseError(f"it holds {kind!r:.20}, which is not an outcome")
    cause = str(facts.pop("cause", ""))
    devices = decode(row["devices"])
    return Attempt(
        _whole(row["id"]), str(row["key"]), _whole(row["number"]), _folder(row["folder"]),
        tuple(map(str, devices)) if isinstance(devices, list) else (), str(row["handle"]), _number(row["started"]),
        None if row["ended"] is None else _number(row["ended"]),
        None if kind is None else Outcome(kind, None if code is None else _whole(code), str(row["reason"]), cause),
        safe_metrics(facts),
    )  # fmt: skip


def _whole(value: object) -> int:
    if isinstance(value, int):
        return value
    raise sqlite3.DatabaseError(f"it holds {value!r:.60}, which is not a number")


def _number(value: object) -> float:
    return float(value) if isinstance(value, float) else _whole(value)


def decode(text: object) -> Any:
    """JSON that was damaged counts as null."""
    try:
        return json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return None


def mapping(text: object) -> dict[str, Any]:
    found = decode(text)
    return found if isinstance(found, dict) else {}
