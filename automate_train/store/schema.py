"""The tables of a sweep's journal, as a list of upgrades.

Not: the SQL that uses them (`journal`, `sample_journal`).
"""

from __future__ import annotations

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
    # An attempt's handle is the executor's own text. `executors.handle` writes what the three columns held.
    """
    create table attempt_new (
        id integer primary key, key text not null references run (key), number integer not null, folder text not null,
        devices text not null, handle text not null default '', started real not null, ended real, kind text,
        exit_code integer, reason text not null default '', facts text not null default '{}', unique (key, number));
    insert into attempt_new select id, key, number, folder, devices,
        case when pid > 0 then pid || ' ' || coalesce(ticks, 0) || ' ' || coalesce(boot, '') else '' end,
        started, ended, kind, exit_code, reason, facts from attempt;
    drop table attempt;
    alter table attempt_new rename to attempt;
    alter table run add column slug text not null default '';
    alter table checkpoint add column which text not null default '';
    """,
    # An image server finds a request whose answer was lost by its LoRA: prompt and seed need not be kept.
    """
    create table sample_request (
        server text not null, picture text not null, lora text not null, ticket text not null,
        primary key (server, picture)) without rowid;
    insert into sample_request select server, picture, lora, task from sample_task;
    drop table sample_task;
    """,
    # A run's short id, given once, and whether it is part of the sweep as it was last started.
    """
    alter table run add column id text not null default '';
    alter table run add column in_sweep integer not null default 1;
    """,
]
"""Each entry brings the schema one version up; `pragma user_version` counts them. Append, never edit."""
