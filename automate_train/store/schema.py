"""The tables of a sweep's journal, and its rows as others see them.

Covers: the schema as a list of upgrades, `Planned` (what the journal is told of a run), `Row` (what it tells). Not: SQL
that uses the tables (`journal`, `sample_journal`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

UPGRADES = [
    """
    create table note (name text primary key, value text not null);
    create table run (
        key text primary key, folder text unique, number integer not null, position integer not null,
        name text not null, varied text not null, options text not null, state text not null default 'waiting');
    create index run_position on run (position);
    create table attempt (
        id integer primary key, key text not null references run (key), number integer not null, folder text not null,
        devices text not null, pid integer, ticks integer, boot text, started real not null, ended real,
        kind text, exit_code integer, reason text not null default '', facts text not null default '{}',
        unique (key, number));
    create table checkpoint (
        attempt integer not null references attempt (id), path text not null, epoch integer, step integer, at real
        not null, primary key (attempt, path)) without rowid;
    """,
    """
    create table sample_seed (prompt text primary key, seed integer not null) without rowid;
    create table sample_lora (
        server text not null, name text not null, batch text not null, at real not null, primary key (server, name)
        ) without rowid;
    create table sample_task (
        server text not null, picture text not null, lora text not null, task text not null, prompt text not null,
        seed integer not null, primary key (server, picture)) without rowid;
    """,
]
"""Each entry brings the schema one version up; `pragma user_version` counts them. Append, never edit."""


@dataclass(frozen=True)
class Row:
    """A run and its newest attempt, as `status` and `results.csv` show it."""

    key: str
    index: int
    number: int
    name: str
    state: str
    """waiting, running, or the kind of the newest outcome."""
    varied: Mapping[str, str]
    options: Mapping[str, Any]
    folder: str
    attempt: int
    devices: tuple[str, ...]
    started: float | None
    ended: float | None
    exit_code: int | None
    reason: str
    facts: Mapping[str, Any]
    """What the run left: loss, mean_loss, steps, checkpoint, delivered."""


@dataclass(frozen=True)
class Planned:
    """What the journal is told of a run; `options` without secrets."""

    key: str
    index: int
    number: int
    name: str
    slug: str
    varied: Mapping[str, str]
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Attempt:
    """One start of a run. `handle` is (pid, start time in clock ticks since boot, boot id): together never reused."""

    run_key: str
    number: int
    folder: str
    devices: tuple[str, ...]
    handle: tuple[int, int, str]
    started: float
    """Seconds since 1970, for people; durations are taken from the monotonic clock."""
