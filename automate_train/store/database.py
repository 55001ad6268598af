"""The journal's database file: opened, brought up to date, checked.

Covers: SQLite's settings, journals of earlier versions, whether a file is damaged. SQLite has no checksums: a changed
byte may pass its check, so what the journal holds is read with tolerance.
Not: what is asked of it (`journal`, `sample_journal`), what follows from damage (`rebuild`).
"""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from ..errors import UserError
from .schema import UPGRADES

TEMPORARY = (
    "locked", "unable to open", "readonly", "is full", "I/O error", "authorization", "permission", "interrupted",
)  # fmt: skip
"""Words in SQLite's messages about problems that are not the file's own."""


WAL_PAGES = 250
"""The WAL stays at 1 MB; SQLite's own 1000 make it several times larger than the journal."""


LOCKED_SECONDS = 60.0
"""For which another writer is waited for (the sampler on a slow disk, a program of the user's). After it the sweep
ends, and leaves its runs alone: SQLite's own 5 s are too few for that."""


def connect(path: Path, read_only: bool) -> sqlite3.Connection:
    """`sqlite3.DatabaseError` for a damaged or locked file; `UserError` for one of a newer automate-train."""
    if os.path.exists(path) and not stat.S_ISREG(os.stat(path).st_mode):
        raise sqlite3.DatabaseError("it is not a regular file")
    db = _read_only(path) if read_only else _writable(path)
    db.row_factory = sqlite3.Row
    db.text_factory = lambda data: data.decode(errors="replace")  # a damaged letter must not hide all the others
    db.execute("select 1 from sqlite_master").fetchone()  # reads the schema, which may be damaged
    return db


def _writable(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=LOCKED_SECONDS, isolation_level=None)
    db.execute("pragma journal_mode = wal")
    # In WAL mode NORMAL loses no committed transaction to a killed process, only (whole ones) to a power cut.
    db.execute("pragma synchronous = normal")
    db.execute(f"pragma wal_autocheckpoint = {WAL_PAGES}")
    _upgrade(db, path)
    return db


@contextmanager
def without_fsync(db: sqlite3.Connection) -> Iterator[None]:
    """What is committed inside moves no WAL into the database, which may take a disk 10 ms: a later commit does."""
    db.execute("pragma wal_autocheckpoint = 0")
    try:
        yield
    finally:
        db.execute(f"pragma wal_autocheckpoint = {WAL_PAGES}")


def _read_only(path: Path) -> sqlite3.Connection:
    """Without a -wal file nobody writes: `immutable` then keeps SQLite from making one beside the journal. A journal of
    an earlier version, or one whose making was cut short, is read through an upgraded copy in memory."""
    how = "mode=ro" if os.path.exists(f"{path}-wal") else "immutable=1"
    db = sqlite3.connect(f"{path.resolve().as_uri()}?{how}", uri=True, isolation_level=None)
    if _version(db, path) == len(UPGRADES):
        return db
    with closing(db):
        copy = sqlite3.connect(":memory:", isolation_level=None)
        db.backup(copy)
    _upgrade(copy, path)
    return copy


def _upgrade(db: sqlite3.Connection, path: Path) -> None:
    """Each upgrade is one transaction. Another process may have made it while we waited for the lock."""
    while (version := _version(db, path)) < len(UPGRADES):
        db.execute("begin immediate")
        try:
            if _version(db, path) == version:
                for statement in UPGRADES[version].split(";"):
                    db.execute(statement)
                db.execute(f"pragma user_version = {version + 1}")
            db.execute("commit")
        except BaseException:
            if db.in_transaction:
                db.execute("rollback")
            raise


def _version(db: sqlite3.Connection, path: Path) -> int:
    version = int(db.execute("pragma user_version").fetchone()[0])
    if version > len(UPGRADES):
        hint = "run that one, or install it here"
        raise UserError("the journal was written by a newer automate-train", source=str(path), hint=hint)
    return version


def is_temporary(error: BaseException) -> bool:
    """Whether the file may be intact: it is locked, or the disk is full or not there."""
    return any(word in str(error) for word in TEMPORARY)


def damage(db: sqlite3.Connection) -> str | None:
    """What SQLite's own checks find, in a few words; None when all is well."""
    found = db.execute("pragma integrity_check(1)").fetchone()[0]
    if found != "ok":
        return str(found).strip().splitlines()[-1]
    row = db.execute("pragma foreign_key_check").fetchone()
    return f"a row of the table {row[0]} refers to a row that does not exist" if row else None
