"""The sweep's memory: which runs were planned, which attempts were made, how they ended, what they saved.

Covers: the only SQL (SQLite in WAL mode, one writer), and the names of run folders.
Not: its tables (`journal_schema`), what an outcome means (`trainers/*`), what to do next (`placement`), how it is shown
(`status`).
A reader in another terminal may open it at any time; a killed writer loses nothing that was committed.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from ..records import Outcome
from .journal_check import attempt as folder_of
from .journal_check import facts, mapping, passes, schema, text_mapping, texts, unsound, value
from .schema import UPGRADES as UPGRADES
from .schema import Attempt as Attempt
from .schema import Planned as Planned
from .schema import Row as Row

if TYPE_CHECKING:
    import sqlite3

_encode = json.JSONEncoder(ensure_ascii=False, default=str).encode


class Journal:
    """One open journal. Every public call that writes is one committed transaction, unless it is inside
    `together()`."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        import sqlite3  # not on the path of --help and --dry-run

        self.path = path
        self._folder = str(path.parent)
        try:
            if read_only:
                # Without a -wal file nobody writes: `immutable` then keeps SQLite from making one beside the journal.
                how = "mode=ro" if os.path.exists(f"{path}-wal") else "immutable=1"
                self.db = sqlite3.connect(f"{path.resolve().as_uri()}?{how}", uri=True, isolation_level=None)
            else:
                self.db = sqlite3.connect(path, isolation_level=None)
                self.db.execute("pragma journal_mode = wal")
                # In WAL mode NORMAL loses no committed transaction to a killed process, only (whole ones) to a power
                # cut.
                self.db.execute("pragma synchronous = normal")
                # Pages: the WAL stays at 1 MB; SQLite's own 1000 make it several times larger than the journal.
                self.db.execute("pragma wal_autocheckpoint = 250")
            self.db.row_factory = sqlite3.Row
            self._upgrade(read_only)
            if wrong := schema(self.db, UPGRADES):
                raise sqlite3.DatabaseError(wrong)
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:  # of a message that quotes a damaged name
            raise UserError(
                f"the sweep's journal cannot be read: {error}",
                source=str(path),
                hint="may it be read and written, is the disk full?"
                if isinstance(error, sqlite3.OperationalError)
                else "the sweep's own command repairs it",
            ) from error

    def _upgrade(self, read_only: bool) -> None:
        version: int = self.db.execute("pragma user_version").fetchone()[0]
        if version > len(UPGRADES):
            raise UserError(
                "the journal was written by a newer automate-train",
                source=str(self.path),
                hint="pip install -U automate-train",
            )
        if read_only and version == 0:
            # Its making was cut short (a full disk, a kill): nothing is known; the next start makes it whole.
            import sqlite3

            self.db.close()
            self.db = sqlite3.connect(":memory:", isolation_level=None)
            self.db.row_factory = sqlite3.Row
            read_only = False
        if not read_only:
            for number, script in enumerate(UPGRADES[version:], version + 1):
                self.db.executescript(f"begin; {script} pragma user_version = {number}; commit;")

    def close(self) -> None:
        self.db.close()

    def damage(self) -> str | None:
        """What is wrong with the database or what it holds, in a few words; None when all is well."""
        import sqlite3

        try:
            if wrong := unsound(self.db, UPGRADES):
                return wrong
            for row in self.rows():
                self.checkpoints(row.key)
            self.open_attempts()
            self.notes()
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            return None if passes(error) else str(error)
        return None

    @staticmethod
    def broken(path: Path) -> bool:
        """Whether a file that cannot be opened as a journal is a damaged database, not a locked one."""
        import sqlite3

        try:
            with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
                db.row_factory = sqlite3.Row
                journal = Journal.__new__(Journal)
                journal.path, journal.db = path, db
                return journal.damage() is not None
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            return not passes(error)

    @contextmanager
    def together(self) -> Iterator[None]:
        """One transaction round several writes; nests into the outer one."""
        if self.db.in_transaction:
            yield
            return
        self.db.execute("begin immediate")
        try:
            yield
            self.db.execute("commit")
        except BaseException:
            if self.db.in_transaction:  # a full disk rolls back by itself
                self.db.execute("rollback")
            raise

    # what is known

    def succeeded(self) -> set[str]:
        return {row[0] for row in self.db.execute("select distinct key from attempt where kind = 'succeeded'")}

    def open_attempts(self) -> list[tuple[int, Attempt]]:
        """Attempts without an outcome: still running, or their orchestrator was killed. pid 0: never told."""
        rows = self.db.execute("select * from attempt where kind is null order by id")
        return [(row["id"], _attempt(row)) for row in rows]

    def rows(self) -> Iterator[Row]:
        """Every run the journal knows, in the order of the sweep, with its newest attempt."""
        query = """
            select run.*, a.number as attempt_number, a.folder as attempt_folder, a.devices, a.started, a.ended,
                   a.kind, a.exit_code, a.reason, a.facts
            from run left join attempt a
            on a.key = run.key and a.number = (select max(number) from attempt where key = run.key)
            order by run.position, run.number
        """
        for row in self.db.execute(query):
            began = row["attempt_number"] is not None
            yield Row(
                key=row["key"],
                index=row["position"],
                number=row["number"],
                name=row["name"],
                state=(row["kind"] or "running") if began else row["state"],
                varied=text_mapping(row["varied"]),
                options=mapping(row["options"]),
                folder=folder_of(row["attempt_folder"], row["kind"]) if began else "",
                attempt=row["attempt_number"] or 0,
                devices=tuple(texts(row["devices"])) if began else (),
                started=row["started"],
                ended=row["ended"],
                exit_code=row["exit_code"],
                reason=row["reason"] or "",
                facts=facts(row["facts"]) if began else {},
            )

    def checkpoints(self, key: str) -> list[tuple[str, int | None, int | None]]:
        """(path, epoch, step) of every checkpoint of a run's attempts, oldest first."""
        query = "select c.* from checkpoint c join attempt a on a.id = c.attempt where a.key = ? order by c.at"
        return [(row["path"], row["epoch"], row["step"]) for row in self.db.execute(query, (key,))]

    def notes(self) -> dict[str, Any]:
        return {row["name"]: value(row["value"]) for row in self.db.execute("select * from note")}

    # what happened

    def note(self, **values: Any) -> None:
        """Facts of the sweep as a whole: project, total, dropped, why the next run waits."""
        rows = [(name, _encode(value)) for name, value in values.items()]
        with self.together():
            self.db.executemany("insert or replace into note values (?, ?)", rows)

    def plan(self, runs: Iterable[Planned]) -> None:
        """Make runs known before they start; one that is known keeps its folder and takes its new place and name."""
        with self.together():
            self.db.executemany(_PLAN, (_run_values(run, None) for run in runs))

    def forget_waiting(self) -> None:
        """Runs of an earlier plan that never began: the plan of today says which ones there are."""
        with self.together():
            self.db.execute("delete from run where not exists (select 1 from attempt where attempt.key = run.key)")

    def place(self, run: Planned) -> tuple[str, int]:
        """(run's folder name, attempt number) that an attempt begun now would get."""
        query = "select (select folder from run where key = ?), (select max(number) from attempt where key = ?)"
        known, newest = self.db.execute(query, (run.key, run.key)).fetchone()
        folder = known or self._free_folder(f"{run.number:03d}-{run.slug}", run.key)
        number = 1 + (newest or 0)
        # A folder that a lost or moved-away journal left behind is never written into.
        while os.path.lexists(f"{self._folder}/{folder}/attempt-{number}"):
            number += 1
        return folder, number

    def _free_folder(self, folder: str, key: str) -> str:
        taken = self.db.execute("select 1 from run where folder = ?", (folder,)).fetchone()
        return f"{folder}-{key[:8]}" if taken or os.path.lexists(f"{self._folder}/{folder}") else folder

    def begin(
        self, run: Planned, devices: tuple[str, ...], now: float, place: tuple[str, int] | None = None
    ) -> tuple[int, str, int]:
        """Record an attempt before anything is started: (attempt id, the run's folder name, attempt number). `place`:
        what `place` said of this run, when no attempt of it has begun since."""
        with self.together():
            folder, number = place or self.place(run)
            self.db.execute(_PLAN, _run_values(run, folder))
            cursor = self.db.execute(
                "insert into attempt (key, number, folder, devices, started) values (?, ?, ?, ?, ?)",
                (run.key, number, f"{folder}/attempt-{number}", _encode(devices), now),
            )
        assert cursor.lastrowid is not None
        return cursor.lastrowid, folder, number

    def recall(self, run: Planned, devices: tuple[str, ...], began: float, folder: str, number: int) -> None:
        """Enter an attempt of which only the folder is left, as one without an outcome."""
        with self.together():
            taken = self.db.execute("select 1 from run where folder = ? and key <> ?", (folder, run.key)).fetchone()
            known = self.db.execute("select folder from run where key = ?", (run.key,)).fetchone()
            self.db.execute(_PLAN, _run_values(run, None if taken else known[0] if known and known[0] else folder))
            numbers = {row[0] for row in self.db.execute("select number from attempt where key = ?", (run.key,))}
            free = number if number not in numbers else max(numbers) + 1  # in a second folder of the same run
            self.db.execute(
                "insert into attempt (key, number, folder, devices, started) values (?, ?, ?, ?, ?)",
                (run.key, free, f"{folder}/attempt-{number}", _encode(devices), began),
            )

    def attempt_folders(self) -> set[str]:
        return {row[0] for row in self.db.execute("select folder from attempt")}

    def started(self, attempt: int, handle: tuple[int, int, str]) -> None:
        with self.together():
            self.db.execute("update attempt set pid = ?, ticks = ?, boot = ? where id = ?", (*handle, attempt))

    def saved(self, attempt: int, path: str, epoch: int | None, step: int | None, at: float) -> None:
        """A checkpoint was saved; telling it twice (after a restart) changes nothing."""
        with self.together():
            self.db.execute(
                "insert or replace into checkpoint values (?, ?, ?, ?, ?)", (attempt, path, epoch, step, at)
            )

    def end(self, attempt: int, outcome: Outcome, now: float, facts: Mapping[str, Any]) -> None:
        with self.together():
            self.db.execute(
                "update attempt set kind = ?, exit_code = ?, reason = ?, ended = ?, facts = ? where id = ?",
                (outcome.kind, outcome.exit_code, outcome.reason, now, _encode(facts), attempt),
            )

    def abort_waiting(self, kind: str) -> None:
        """Runs that never began, when the sweep ends early: aborted (a run failed) or waiting again (a person
        asked)."""
        with self.together():
            self.db.execute(
                "update run set state = ? where not exists (select 1 from attempt where attempt.key = run.key)", (kind,)
            )


_PLAN = """
    insert into run (key, number, position, name, varied, options, folder) values (?, ?, ?, ?, ?, ?, ?)
    on conflict (key) do update set number = excluded.number, position = excluded.position, name = excluded.name,
    varied = excluded.varied, options = excluded.options, folder = coalesce(excluded.folder, folder), state = 'waiting'
"""


def _run_values(run: Planned, folder: str | None) -> tuple[object, ...]:
    return (run.key, run.number, run.index, run.name, _encode(run.varied), _encode(run.options), folder)


def _attempt(row: sqlite3.Row) -> Attempt:
    handle = (row["pid"] or 0, row["ticks"] or 0, row["boot"] or "")
    folder = folder_of(row["folder"], row["kind"])
    return Attempt(row["key"], row["number"], folder, tuple(texts(row["devices"])), handle, row["started"])
