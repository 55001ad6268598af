"""The sweep's journal: an index of its runs, attempts and checkpoints in SQLite (WAL mode, one writer).

Covers: the SQL of all tables but the sampler's. What it holds of runs that have begun is in their folders, too, from
which `rebuild` makes it again. A reader in another terminal may open it at any time; a killed writer loses nothing that
was committed. Not: the file (`database`), its tables (`schema`), the sampler's (`sample_journal`), what an outcome
means (`trainers`).
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..records import Attempt, Checkpoint, Launch, Outcome, RunRecord
from .database import connect, damage, is_temporary, without_fsync
from .events import which
from .files import read_json
from .launch import write_launch
from .layout import AttemptFolder, SweepFolder, attempt_folder, find_sweep, run_folder
from .outcome import read_outcome, write_outcome
from .rows import attempt_of, decode, mapping, run_of
from .run_ids import RunIds

_encode = json.JSONEncoder(ensure_ascii=False, default=str).encode

JournalError = sqlite3.Error
"""What a journal raises that cannot be written or read: the disk is full, the file is damaged."""


class Journal:
    """One open journal. Every public call that writes is one committed transaction, unless it is inside
    `transaction()`."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        self._folder = str(path.parent)
        try:
            self.db = connect(path, read_only)
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:  # of a message that quotes a damaged name
            hint = "the sweep's own command repairs it"
            if is_temporary(error):
                hint = "check that it may be read and written, and that the disk is not full"
            raise UserError(f"the sweep's journal cannot be read: {error}", source=str(path), hint=hint) from error

    @cached_property
    def ids(self) -> RunIds:
        """The runs' short ids."""
        return RunIds(self.db.execute("select key, id from run order by rowid"))

    def close(self) -> None:
        self.db.close()

    def damage(self) -> str | None:
        """What is wrong with the database or what it holds, in a few words; None when all is well."""
        try:
            if wrong := damage(self.db):
                return wrong
            for record in self.records():
                self.checkpoints(record.key)
            self.notes()
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            return None if is_temporary(error) else str(error)
        return None

    @staticmethod
    def is_damaged(path: Path) -> bool:
        """Whether a file that cannot be opened as a journal is a damaged database, not a locked one."""
        try:
            with contextlib.closing(Journal(path, read_only=True)) as journal:
                return journal.damage() is not None
        except UserError as error:  # without a cause: it is of a newer automate-train
            return error.__cause__ is not None and not is_temporary(error.__cause__)

    @contextmanager
    def transaction(self) -> Iterator[None]:
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

    # reading

    def records(self) -> Iterator[RunRecord]:
        """Every run of the sweep as it is now, in its order; then those that ran and are no longer part of it."""
        return self._records("where run.in_sweep or a.id is not null")

    def record(self, key: str) -> RunRecord | None:
        return next(self._records("where run.key = ?", key), None)

    def has_begun(self, key: str) -> bool:
        return self.db.execute("select 1 from attempt where key = ? limit 1", (key,)).fetchone() is not None

    def _records(self, where: str, *values: object) -> Iterator[RunRecord]:
        query = f"""
            select run.key as run_key, run.id as run_id, run.in_sweep, run.position, run.number as run_number, run.name,
            run.slug, run.varied, run.options, run.state, {_ATTEMPT}
            from run left join attempt a on a.key = run.key {where}
            order by not run.in_sweep, run.position, run.key, a.number
        """
        # All at once: a query that is not read to its end keeps this connection from writing after others have written.
        rows = self.db.execute(query, values).fetchall()
        for _, group in groupby(rows, lambda row: row["run_key"]):
            first, *others = group
            attempts = tuple(attempt_of(row) for row in (first, *others) if row["id"] is not None)
            record = run_of(first)
            yield record._replace(attempts=attempts, id=record.id or self.ids.of(record.key))

    def open_attempts(self) -> list[Attempt]:
        """Attempts without an outcome: still running, or their orchestrator was killed."""
        query = f"select {_ATTEMPT} from attempt a where kind is null order by id"
        return [attempt_of(row) for row in self.db.execute(query)]

    def first_open(self) -> int:
        """The id of the oldest attempt that is open, else that of the next one to begin."""
        query = "select coalesce(min(case when kind is null then id end), max(id) + 1, 1) from attempt"
        return int(self.db.execute(query).fetchone()[0])

    def attempt_folders(self) -> set[str]:
        return {row[0] for row in self.db.execute("select folder from attempt")}

    def done(self, after: int = 0) -> set[str]:
        """Keys of the runs that need no attempt: their newest one has succeeded, and is newer than the one with the id
        `after`."""
        query = """select key from attempt a where kind = 'succeeded' and id > ?
                   and number = (select max(number) from attempt where key = a.key)"""
        return {row[0] for row in self.db.execute(query, (after,))}

    def newest_attempt(self) -> int:
        """The id of the attempt that began last; ids grow, whatever the clock says. 0: there is none."""
        return int(self.db.execute("select coalesce(max(id), 0) from attempt").fetchone()[0])

    def checkpoints(self, key: str) -> list[Checkpoint]:
        """Of all attempts of a run, oldest first."""
        query = """select c.path, c.which, c.epoch, c.step, c.at, a.number from checkpoint c
                   join attempt a on a.id = c.attempt where a.key = ? order by c.at"""
        return [
            Checkpoint(path, kind or which(path), epoch, step, at, number)
            for path, kind, epoch, step, at, number in self.db.execute(query, (key,))
        ]

    def notes(self) -> dict[str, Any]:
        return {str(row[0]): decode(row[1]) for row in self.db.execute("select name, value from note")}

    # writing

    def note(self, **values: Any) -> None:
        """Facts of the sweep as a whole: its state, why the next run waits."""
        rows = [(name, _encode(value)) for name, value in values.items()]
        with self.transaction():
            self.db.executemany("insert or replace into note values (?, ?)", rows)

    def add_waiting(self, runs: Iterable[RunRecord]) -> None:
        """Make runs known before they start; one that is known keeps its id and folder, and takes its new place and
        name."""
        with self.transaction():
            self.db.executemany(_ADD, (self._values(run, None) for run in runs))

    def set_sweep(self, runs: Iterable[RunRecord]) -> None:
        """Say which runs that have begun are part of the sweep as it is now, and their places and names there. All
        others are no longer part of it; those that wait are added anew (`add_waiting`)."""
        places = [(run.index, run.number, run.name, run.slug, _encode(run.varied), run.key) for run in runs]
        with self.transaction():
            self.db.execute("update run set in_sweep = 0")
            self.db.executemany(_PLACE, places)

    def abort_waiting(self) -> None:
        """Runs that never began, when the sweep ends early because a run failed."""
        never = "in_sweep and not exists (select 1 from attempt where attempt.key = run.key)"
        with self.transaction():
            self.db.execute(f"update run set state = 'aborted' where {never}")

    def next_attempt(self, run: RunRecord) -> str:
        """The folder, `<run's folder>/attempt-<n>`, that an attempt begun now would get."""
        query = "select (select folder from run where key = ?), (select max(number) from attempt where key = ?)"
        known, newest = self.db.execute(query, (run.key, run.key)).fetchone()
        home = known or self._free_folder(run_folder(run.number, run.slug), run.key)
        number = 1 + (newest or 0)
        # A folder that a lost or moved-away journal left behind is never written into.
        while os.path.lexists(f"{self._folder}/{attempt_folder(home, number)}"):
            number += 1
        return attempt_folder(home, number)

    def _free_folder(self, name: str, key: str) -> str:
        taken = self.db.execute("select 1 from run where folder = ?", (name,)).fetchone()
        return f"{name}-{key[:8]}" if taken or os.path.lexists(f"{self._folder}/{name}") else name

    def begin(self, run: RunRecord, devices: tuple[str, ...], now: float, folder: str = "") -> Attempt:
        """Record an attempt before anything is started. `folder`: what `next_attempt` returned for this run, when no
        attempt of it has begun since."""
        with without_fsync(self.db), self.transaction():  # a device is free and waits
            folder = folder or self.next_attempt(run)
            home, _, number = folder.rpartition("/attempt-")
            self.db.execute(_ADD, self._values(run, home))
            return self._insert(run.key, int(number), folder, devices, now)

    def restore(self, run: RunRecord, devices: tuple[str, ...], began: float, folder: str) -> Attempt:
        """Enter an attempt of which only the folder is left, as one without an outcome."""
        home, _, number = folder.rpartition("/attempt-")
        self.ids.keep(run.key, run.id)
        with self.transaction():
            taken = self.db.execute("select 1 from run where folder = ? and key <> ?", (home, run.key)).fetchone()
            known = self.db.execute("select folder from run where key = ?", (run.key,)).fetchone()
            own = None if taken else known[0] if known and known[0] else home
            self.db.execute(_ADD, self._values(run, own))
            numbers = {row[0] for row in self.db.execute("select number from attempt where key = ?", (run.key,))}
            # A second folder of the same run may hold an attempt of the same number.
            free = int(number) if int(number) not in numbers else max(numbers) + 1
            return self._insert(run.key, free, folder, devices, began)

    def _values(self, run: RunRecord, folder: str | None) -> tuple[object, ...]:
        return (
            run.key, self.ids.of(run.key), run.number, run.index, run.name, run.slug, _encode(run.varied),
            _encode(run.options), folder,
        )  # fmt: skip

    def _insert(self, key: str, number: int, folder: str, devices: tuple[str, ...], began: float) -> Attempt:
        cursor = self.db.execute(
            "insert into attempt (key, number, folder, devices, started) values (?, ?, ?, ?, ?)",
            (key, number, folder, _encode(devices), began),
        )
        assert cursor.lastrowid is not None
        return Attempt(cursor.lastrowid, key, number, folder, devices, "", began)

    def set_handle(self, attempt: int, handle: str) -> None:
        """What the executor calls a started attempt."""
        with self.transaction():
            self.db.execute("update attempt set handle = ? where id = ?", (handle, attempt))

    def add_checkpoint(self, attempt: int, saved: Checkpoint) -> None:
        """Telling it twice (after a restart) changes nothing."""
        values = (attempt, saved.path, saved.epoch, saved.step, saved.at, saved.which)
        with self.transaction():
            self.db.execute("insert or replace into checkpoint values (?, ?, ?, ?, ?, ?)", values)

    def end(self, attempt: Attempt, outcome: Outcome, ended: float, metrics: Mapping[str, Any]) -> None:
        """Write down how an attempt ended: first in its folder, which the journal is made again from."""
        folder = AttemptFolder(self.path.parent / attempt.folder)
        with contextlib.suppress(OSError):  # a full disk: the row is all that is left
            # It could not be started, or its orchestrator was killed while it wrote launch.json.
            if outcome.exit_code is None and not read_json(folder.launch) and (run := self.record(attempt.run_key)):
                os.makedirs(folder.path, exist_ok=True)
                folder.launch.unlink(missing_ok=True)
                write_launch(folder, Launch((), ""), run, attempt.devices, attempt.started)
            write_outcome(folder, outcome, ended, metrics)
        self.set_outcome(attempt.id, outcome, ended, metrics)

    def set_outcome(self, attempt: int, outcome: Outcome, ended: float, metrics: Mapping[str, Any]) -> None:
        """The row alone."""
        facts = {**metrics, "cause": outcome.cause} if outcome.cause else metrics
        with self.transaction():
            self.db.execute(
                "update attempt set kind = ?, exit_code = ?, reason = ?, ended = ?, facts = ? where id = ?",
                (outcome.kind, outcome.exit_code, outcome.reason, ended, _encode(facts), attempt),
            )

    def set_delivered(self, attempt: Attempt, paths: Sequence[str]) -> None:
        """Write down where the files of an attempt were copied to: first in its folder, too."""
        folder, delivered = AttemptFolder(self.path.parent / attempt.folder), {"delivered": list(paths)}
        with contextlib.suppress(OSError):
            if (known := read_outcome(folder)) is not None:
                write_outcome(folder, known.outcome, known.ended, {**known.metrics, **delivered})
        with self.transaction():
            (facts,) = self.db.execute("select facts from attempt where id = ?", (attempt.id,)).fetchone()
            values = (_encode({**mapping(facts), **delivered}), attempt.id)
            self.db.execute("update attempt set facts = ? where id = ?", values)


_ATTEMPT = """a.id, a.key, a.number, a.folder, a.devices, a.handle, a.started, a.ended, a.kind, a.exit_code, a.reason,
              a.facts"""
_ADD = """
    insert into run (key, id, number, position, name, slug, varied, options, folder) values (?, ?, ?, ?, ?, ?, ?, ?, ?)
    on conflict (key) do update set id = excluded.id, number = excluded.number, position = excluded.position,
    name = excluded.name, slug = excluded.slug, varied = excluded.varied, options = excluded.options,
    folder = coalesce(excluded.folder, folder), state = 'waiting', in_sweep = 1
"""
_PLACE = """
    update run set in_sweep = 1, position = ?, number = ?, name = ?, slug = ?, varied = ? where key = ?
"""


def open_sweep(path: str | Path) -> tuple[Journal, SweepFolder]:
    """The journal, for reading, of a sweep's folder (`<temp_dir>/<project>`) or of a temp_dir that holds exactly one
    sweep."""
    folder = find_sweep(path)
    return Journal(folder.journal, read_only=True), folder
