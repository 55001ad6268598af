"""Whether a journal's file is damaged.

Covers: SQLite's own check, names of folders that would lead out of the sweep's. SQLite has no checksums: a changed byte
may pass, and what the journal holds is read with tolerance.
Not: what follows from it (`rebuild`).
"""

from __future__ import annotations

import sqlite3

from .layout import ATTEMPT

TEMPORARY = (
    "locked",
    "unable to open",
    "readonly",
    "is full",
    "I/O error",
    "authorization",
    "permission",
    "interrupted",
)
"""Words of SQLite for what says nothing about the file itself."""


def is_temporary(error: Exception) -> bool:
    """Whether the file may be whole all the same: it is locked, the disk is full or away."""
    return any(word in str(error) for word in TEMPORARY)


def damage(db: sqlite3.Connection) -> str | None:
    """What is wrong, in a few words; None when all is well. `sqlite3.DatabaseError` when it cannot even be asked."""
    found = db.execute("pragma integrity_check(1)").fetchone()[0]
    if found != "ok":
        return str(found).strip().splitlines()[-1]
    if row := db.execute("pragma foreign_key_check").fetchone():
        return f"a row of the table {row[0]} belongs to nothing"
    return None


def folder(name: object) -> str:
    """The name of an attempt's folder; `sqlite3.DatabaseError` when we never wrote it."""
    if isinstance(name, str) and ATTEMPT.fullmatch(name):
        return name
    raise sqlite3.DatabaseError(f"it holds the folder {name!r:.60}, which was never written")
