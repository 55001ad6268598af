"""Whether a journal still is what was written into it.

Covers: the database's own check, its schema, the types of what it holds, the shapes of the JSON in it. SQLite has no
checksums: a page that another program or a dying disk has changed may pass as a database and hold nonsense.
Not: what follows from it (`rebuild`), which tables there are (`journal.UPGRADES`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import sqlite3

PASSING = ("locked", "unable to open", "readonly", "is full", "I/O error", "authorization", "permission", "interrupted")
"""Words of SQLite for what says nothing about the file itself."""
ATTEMPT = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*/attempt-[0-9]{1,9}")
"""`<run>/attempt-<n>`, as we write it: a name that leads out of the sweep's folder is none of ours."""
KINDS = ("succeeded", "failed", "cancelled", "aborted", "lost")
TYPES = {"text": "'text'", "integer": "'integer'", "real": "'real', 'integer'"}


def passes(error: Exception) -> bool:
    """Whether the file may be whole all the same: it is locked, the disk is full or away."""
    return any(word in str(error) for word in PASSING)


def unsound(db: sqlite3.Connection, upgrades: Sequence[str]) -> str | None:
    """What is wrong, in a few words; None when all is well. `sqlite3.DatabaseError` when it cannot even be asked."""
    found = db.execute("pragma integrity_check(1)").fetchone()[0]
    if found != "ok":
        return str(found).strip().splitlines()[-1]
    if wrong := schema(db, upgrades):
        return wrong
    for (table,) in db.execute("select name from sqlite_master where type = 'table' order by name").fetchall():
        columns = db.execute('select name, lower(type), "notnull" from pragma_table_info(?)', (table,)).fetchall()
        odd = " or ".join(
            f"typeof({name}) not in ({TYPES[kind]}{'' if filled else ', ' + repr('null')})"
            for name, kind, filled in columns
            if kind in TYPES
        )
        if odd and db.execute(f"select 1 from {table} where {odd} limit 1").fetchone():
            return f"a value of the table {table} has a wrong type"
    if row := db.execute("pragma foreign_key_check").fetchone():
        return f"a row of the table {row[0]} belongs to nothing"
    return None


def schema(db: sqlite3.Connection, upgrades: Sequence[str]) -> str | None:
    """What is wrong with its tables; None when they are those of its version, or of one newer than ours."""
    version = db.execute("pragma user_version").fetchone()[0]
    actual = {row[0]: row[1] for row in db.execute("select name, sql from sqlite_master")}
    whole = _made_by(tuple(upgrades))
    if version > len(upgrades):
        same = all(actual.get(name) == sql for name, sql in whole.items()) and len(actual) == len(whole)
        return f"its version is {version}" if same else None  # a newer one is not damaged
    expected = _made_by(tuple(upgrades[:version]))
    if any(actual.get(name) != expected.get(name) for name in whole):
        return "its tables are not those of its version"
    return None


@cache
def _made_by(upgrades: tuple[str, ...]) -> dict[str, str | None]:
    import sqlite3

    db = sqlite3.connect(":memory:")
    try:
        db.executescript("".join(upgrades))
        return {row[0]: row[1] for row in db.execute("select name, sql from sqlite_master")}
    finally:
        db.close()


def value(text: str) -> Any:
    """Anything that the journal holds as JSON; `sqlite3.DatabaseError` when it is no JSON any more."""
    return _checked(text, lambda value: True)


def mapping(text: str) -> dict[str, Any]:
    found: dict[str, Any] = _checked(text, lambda value: isinstance(value, dict))
    return found


def texts(text: str) -> list[str]:
    found: list[str] = _checked(
        text, lambda value: isinstance(value, list) and all(isinstance(each, str) for each in value)
    )
    return found


def text_mapping(text: str) -> dict[str, str]:
    found: dict[str, str] = _checked(
        text, lambda value: isinstance(value, dict) and all(isinstance(x, str) for x in value.values())
    )
    return found


def facts(text: str) -> dict[str, Any]:
    """What the loop noted of an ended attempt: its numbers are numbers."""
    numbers = ("loss", "mean_loss", "seconds", "steps")

    def sound(value: Any) -> bool:
        return (
            isinstance(value, dict)
            and all(isinstance(value.get(name, 0), (int, float, type(None))) for name in numbers)
            and all(isinstance(each, str) for each in value.get("delivered") or [])
        )

    found: dict[str, Any] = _checked(text, sound)
    return found


def attempt(folder: str, kind: str | None) -> str:
    """The folder of an attempt whose outcome is `kind`."""
    if isinstance(folder, str) and ATTEMPT.fullmatch(folder) and kind in (None, *KINDS):
        return folder
    import sqlite3

    raise sqlite3.DatabaseError(f"it holds {folder!r:.60} ({kind!r:.20}), which was never written")


def _checked(text: str, sound: Any) -> Any:
    import sqlite3

    try:
        value = json.loads(text)
        if sound(value):
            return value
    except (ValueError, TypeError, RecursionError):
        pass
    raise sqlite3.DatabaseError(f"it holds {text!r:.60}, which was never written")
