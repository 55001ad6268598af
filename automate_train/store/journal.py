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
from itertools import groupby
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..records import Attempt, Checkpoint, Launch, Outcome, RunRecord
from .database import connect, damage, is_temporary, without_fsync
from .events import which
from .files import read_json
from .launch import write_launch
from .layout import ATTEMPT, AttemptFolder, SweepFolder, attempt_folder, find_sweep, run_folder
from .outcome import KINDS, read_outcome, safe_metrics, write_outcome

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
            repaired = "the sweep's own command repairs it"
            hint = "may it be read and written, is the disk full?" if is_temporary(error) else repaired
            raise UserError(f"the sweep's journal cannot be read: {error}", source=str(path), hint=hint) from error

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
        """Every run that the journal knows, with all its attempts, in the order of the sweep."""
        return self._records("")

    def record(self, key: str) -> RunRecord | None:
        return next(self._records("where run.key = ?", key), None)

    def has_begun(self, key: str) -> bool:
        return self.db.execute("select 1 from attempt where key = ? limit 1", (key,)).fetchone() is not None

    def _records(self, where: str, *values: object) -> Iterator[RunRecord]:
        query = f"""
            select run.key as run_key, run.position, run.number as run_number, run.name, run.slug, run.varied,
            run.options, run.state, {_ATTEMPT} from run left join attempt a on a.key = run.key {where}
            order by run.position, run.number, run.key, a.number
        """
        # All at once: a query that is not read to its end keeps this connection from writing after others have written.
        rows = self.db.execute(query, values).fetchall()
        for _, group in groupby(rows, lambda row: row["run_key"]):
            first, *others = group
            attempts = tuple(_attempt(row) for row in (first, *others) if row["id"] is not None)
            yield _run(first)._replace(attempts=attempts)

    def open_attempts(self) -> list[Attempt]:
        """Attempts without an outcome: still running, or their orchestrator was killed."""
        query = f"select {_ATTEMPT} from attempt a where kind is null order by id"
        return [_attempt(row) for row in self.db.execute(query)]

    def attempt_folders(self) -> set[str]:
        return {row[0] for row in self.db.execute("select folder from attempt")}

    def succeeded(self) -> set[str]:
        return {row[0] for row in self.db.execute("select distinct key from attempt where kind = 'succeeded'")}

    def checkpoints(self, key: str) -> list[Checkpoint]:
        """Of all attempts of a run, oldest first."""
        query = """select c.path, c.which, c.epoch, c.step, c.at, a.number from checkpoint c
                   join attempt a on a.id = c.attempt where a.key = ? order by c.at"""
        return [
            Checkpoint(path, kind or which(path), epoch, step, at, number)
            for path, kind, epoch, step, at, number in self.db.execute(query, (key,))
        ]

    def notes(self) -> dict[str, Any]:
        return {str(row[0]): _decode(row[1]) for row in self.db.execute("select name, value from note")}

    # writing

    def note(self, **values: Any) -> None:
        """Facts of the sweep as a whole: its state, why the next run waits."""
        rows = [(name, _encode(value)) for name, value in values.items()]
        with self.transaction():
            self.db.executemany("insert or replace into note values (?, ?)", rows)

    def plan(self, runs: Iterable[RunRecord]) -> None:
        """Make runs known before they start; one that is known keeps its folder and takes its new place and name."""
        with self.transaction():
            self.db.executemany(_PLAN, (_run_values(run, None) for run in runs))

    def forget_waiting(self) -> None:
        """Runs of an earlier plan that never began: the plan of today says which ones there are."""
        with self.transaction():
            self.db.execute("delete from run where not exists (select 1 from attempt where attempt.key = run.key)")

    def abort_waiting(self) -> None:
        """Runs that never began, when the sweep ends early because a run failed."""
        never = "not exists (select 1 from attempt where attempt.key = run.key)"
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
            self.db.execute(_PLAN, _run_values(run, home))
            return self._insert(run.key, int(number), folder, devices, now)

    def restore(self, run: RunRecord, devices: tuple[str, ...], began: float, folder: str) -> Attempt:
        """Enter an attempt of which only the folder is left, as one without an outcome."""
        home, _, number = folder.rpartition("/attempt-")
        with self.transaction():
            taken = self.db.execute("select 1 from run where folder = ? and key <> ?", (home, run.key)).fetchone()
            known = self.db.execute("select folder from run where key = ?", (run.key,)).fetchone()
            self.db.execute(_PLAN, _run_values(run, None if taken else known[0] if known and known[0] else home))
            numbers = {row[0] for row in self.db.execute("select number from attempt where key = ?", (run.key,))}
            # A second folder of the same run may hold an attempt of the same number.
            free = int(number) if int(number) not in numbers else max(numbers) + 1
            return self._insert(run.key, free, folder, devices, began)

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
            values = (_encode({**_mapping(facts), **delivered}), attempt.id)
            self.db.execute("update attempt set facts = ? where id = ?", values)


_ATTEMPT = """a.id, a.key, a.number, a.folder, a.devices, a.handle, a.started, a.ended, a.kind, a.exit_code, a.reason,
              a.facts"""
_PLAN = """
    insert into run (key, number, position, name, slug, varied, options, folder) values (?, ?, ?, ?, ?, ?, ?, ?)
    on conflict (key) do update set number = excluded.number, position = excluded.position, name = excluded.name,
    slug = excluded.slug, varied = excluded.varied, options = excluded.options,
    folder = coalesce(excluded.folder, folder), state = 'waiting'
"""


def _run_values(run: RunRecord, folder: str | None) -> tuple[object, ...]:
    return (run.key, run.number, run.index, run.name, run.slug, _encode(run.varied), _encode(run.options), folder)


def open_sweep(path: str | Path) -> tuple[Journal, SweepFolder]:
    """The journal, for reading, of a sweep's folder (`<temp_dir>/<project>`) or of a temp_dir that holds exactly one
    sweep."""
    folder = find_sweep(path)
    return Journal(folder.journal, read_only=True), folder


# rows -> records


def _folder(name: object) -> str:
    """The name of an attempt's folder; one that we never wrote may lead out of the sweep's folder."""
    if isinstance(name, str) and ATTEMPT.fullmatch(name):
        return name
    raise sqlite3.DatabaseError(f"it holds the folder {name!r:.60}, which was never written")


def _run(row: sqlite3.Row) -> RunRecord:
    return RunRecord(
        str(row["run_key"]), _whole(row["position"]), _whole(row["run_number"]), str(row["name"]), str(row["slug"]),
        {key: str(value) for key, value in _mapping(row["varied"]).items()}, _mapping(row["options"]),
        unstarted="aborted" if row["state"] == "aborted" else "waiting",
    )  # fmt: skip


def _attempt(row: sqlite3.Row) -> Attempt:
    facts = _mapping(row["facts"])
    kind, code = row["kind"], row["exit_code"]
    if kind is not None and kind not in KINDS:
        raise sqlite3.DatabaseError(f"it holds the outcome {kind!r:.20}, which was never written")
    cause = str(facts.pop("cause", ""))
    devices = _decode(row["devices"])
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
    raise sqlite3.DatabaseError(f"it holds {value!r:.60} where a number was written")


def _number(value: object) -> float:
    return float(value) if isinstance(value, float) else _whole(value)


def _decode(text: object) -> Any:
    """JSON that was damaged counts as null."""
    try:
        return json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return None


def _mapping(text: object) -> dict[str, Any]:
    found = _decode(text)
    return found if isinstance(found, dict) else {}
