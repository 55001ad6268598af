"""The journal: what it remembers over restarts and kills, and how run folders get their names."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from automate_train.errors import UserError
from automate_train.records import Checkpoint, Outcome, RunRecord
from automate_train.store import database
from automate_train.store.journal import Journal
from automate_train.store.launch import read_launch
from automate_train.store.layout import AttemptFolder
from automate_train.store.outcome import read_outcome
from automate_train.store.schema import UPGRADES


def run(key: str, index: int = 0, **varied: str) -> RunRecord:
    name = "_".join(["p", *(f"{name}={value}" for name, value in varied.items())])
    return RunRecord(key, index, index, name, name.replace("=", "-"), varied, {"seed": 1, **varied})


def test_a_run_from_plan_to_success(tmp_path: Path):
    journal = Journal(tmp_path / "journal.sqlite")
    journal.add_waiting([run("k0", 0, lr="1e-4"), run("k1", 1, lr="2e-4")])
    begun = journal.begin(run("k0", 0, lr="1e-4"), ("GPU-1",), 100.0)
    assert (begun.folder, begun.number) == ("000-p_lr-1e-4/attempt-1", 1)
    journal.set_handle(begun.id, "42 7 boot")
    saved = Checkpoint("/x.safetensors", "epoch", 1, 10, 101.0)
    journal.add_checkpoint(begun.id, saved)
    journal.add_checkpoint(begun.id, saved)
    (opened,) = journal.open_attempts()
    assert opened == begun._replace(handle="42 7 boot")
    journal.end(begun, Outcome("succeeded", 0, cause="x"), 130.0, {"loss": 0.5})
    first, second = journal.records()
    ended = opened._replace(ended=130.0, outcome=Outcome("succeeded", 0, cause="x"), metrics={"loss": 0.5})
    assert first.attempts == (ended,) and journal.record("k0") == first and journal.record("k9") is None
    assert (first.state, first.metrics, first.varied, second.state) == (
        "succeeded",
        {"loss": 0.5},
        {"lr": "1e-4"},
        "waiting",
    )
    assert journal.done() == {"k0"} and journal.open_attempts() == []
    assert journal.checkpoints("k0") == [saved._replace(attempt=1)]


def test_another_writer_is_waited_for_longer_than_a_disk_may_take(tmp_path: Path):
    """A journal that stays locked ends the sweep."""
    with closing(Journal(tmp_path / "journal.sqlite")) as journal:
        assert journal.db.execute("pragma busy_timeout").fetchone()[0] == 60_000


def test_a_later_attempt_gets_its_own_folder_and_number(tmp_path: Path):
    journal = Journal(tmp_path / "journal.sqlite")
    first = journal.begin(run("k"), (), 1.0)
    journal.end(first, Outcome("failed", 1, "no"), 2.0, {})
    home = first.folder.partition("/")[0]
    (tmp_path / home / "attempt-2").mkdir(parents=True)  # left by a journal that is gone
    assert journal.next_attempt(run("k")) == f"{home}/attempt-3"
    assert journal.begin(run("k"), (), 3.0).folder == f"{home}/attempt-3"
    (record,) = journal.records()
    assert (record.state, [each.number for each in record.attempts]) == ("running", [1, 3])


def test_a_growing_list_moves_no_folder(tmp_path: Path):
    journal = Journal(tmp_path / "journal.sqlite")
    old = journal.begin(run("k", 1, lr="4e-4"), (), 1.0).folder
    assert old == "001-p_lr-4e-4/attempt-1"
    assert journal.next_attempt(run("k", 5, lr="4e-4")) == "001-p_lr-4e-4/attempt-2"
    (tmp_path / "001-p_lr-4e-4").mkdir()
    other = journal.begin(run("other-key", 1, lr="4e-4"), (), 2.0).folder
    assert other == "001-p_lr-4e-4-other-ke/attempt-1", "a name taken by another key gets a suffix"


def test_a_run_keeps_its_id_and_each_has_one_of_its_own(tmp_path: Path):
    """The shortest beginning of its key that no other has, from 4 digits on, and none that reads as an index."""
    keys = {"3f9a000000000000": "3f9a", "3f9a111111111111": "3f9a1", "12345e6000000000": "12345e"}
    with closing(Journal(tmp_path / "journal.sqlite")) as journal:
        journal.add_waiting(run(key, index) for index, key in enumerate(keys))
        assert {record.key: record.id for record in journal.records()} == keys
        journal.set_sweep([])
    with closing(Journal(tmp_path / "journal.sqlite")) as journal:  # the first one is not added first any more
        journal.add_waiting(run(key, index) for index, key in enumerate(reversed(keys)))
        assert {record.key: record.id for record in journal.records()} == keys
        assert journal.ids.of("1234567890123456") == "1234567890123456", "a key without a letter is its own id"


def test_the_journal_of_an_earlier_version_gives_its_runs_ids(tmp_path: Path):
    path = tmp_path / "journal.sqlite"
    with closing(sqlite3.connect(path)) as db:
        for number, script in enumerate(UPGRADES[:4], 1):
            db.executescript(f"{script} pragma user_version = {number};")
        for key, position in (("3f9a1", 1), ("3f9a0", 0)):
            names = "(key, number, position, name, varied, options)"
            db.execute(f"insert into run {names} values (?, 0, ?, 'p', '{{}}', '{{}}')", (key, position))
        db.commit()
    with closing(Journal(path, read_only=True)) as reader:
        ids = {record.key: record.id for record in reader.records()}
    assert ids == {"3f9a1": "3f9a", "3f9a0": "3f9a0"}
    with closing(Journal(path)) as journal:
        journal.add_waiting([run("3f9a0"), run("3f9a1", 1)])
        assert {record.key: record.id for record in journal.records()} == ids


def test_what_waited_and_is_no_longer_in_the_sweep_is_not_shown_but_what_ran_is(tmp_path: Path):
    journal = Journal(tmp_path / "journal.sqlite")
    journal.add_waiting([run("gone", 0), run("ran", 1)])
    journal.begin(run("ran", 1), (), 1.0)
    journal.set_sweep([])
    (record,) = journal.records()
    assert (record.key, record.in_sweep) == ("ran", False)
    journal.set_sweep([record._replace(index=4, number=4, name="new")])
    (record,) = journal.records()
    assert (record.key, record.in_sweep, record.index, record.name) == ("ran", True, 4, "new")


def test_waiting_runs_are_aborted_and_wait_again_with_the_next_plan(tmp_path: Path):
    journal = Journal(tmp_path / "journal.sqlite")
    journal.add_waiting([run("a", 0), run("b", 1)])
    begun = journal.begin(run("a", 0), (), 1.0)
    journal.end(begun, Outcome("failed", 1), 2.0, {})
    journal.abort_waiting()
    assert [record.state for record in journal.records()] == ["failed", "aborted"]
    journal.add_waiting([run("b", 1)])
    assert [record.state for record in journal.records()] == ["failed", "waiting"]


def test_together_is_all_or_nothing(tmp_path: Path):
    journal = Journal(tmp_path / "journal.sqlite")
    with pytest.raises(RuntimeError), journal.transaction():
        journal.add_waiting([run("a")])
        raise RuntimeError
    assert list(journal.records()) == []


KILLED = """
import os, sys
from pathlib import Path
from automate_train.records import RunRecord
from automate_train.store import database
from automate_train.store.journal import Journal
journal = Journal(Path(sys.argv[1]))
for n in range(50):
    journal.begin(RunRecord(f"k{n}", n, n, "n", "n", {}, {}), (), 1.0)
os.kill(os.getpid(), 9)
"""


def test_what_was_committed_survives_a_kill(tmp_path: Path):
    done = subprocess.run([sys.executable, "-c", KILLED, tmp_path / "journal.sqlite"])
    assert done.returncode == -signal.SIGKILL
    assert len(Journal(tmp_path / "journal.sqlite").open_attempts()) == 50


def test_a_reader_beside_a_writer_and_after_it_makes_no_files(tmp_path: Path):
    journal = Journal(tmp_path / "journal.sqlite")
    journal.add_waiting([run("a")])
    reader = Journal(tmp_path / "journal.sqlite", read_only=True)
    assert len(list(reader.records())) == 1
    reader.close()
    journal.close()
    assert os.listdir(tmp_path) == ["journal.sqlite"]
    reader = Journal(tmp_path / "journal.sqlite", read_only=True)
    assert len(list(reader.records())) == 1
    assert os.listdir(tmp_path) == ["journal.sqlite"]


def test_two_writers_do_not_lock_each_other_out_while_they_read(tmp_path: Path):
    sweep, sampler = Journal(tmp_path / "journal.sqlite"), Journal(tmp_path / "journal.sqlite")
    sweep.add_waiting(run(f"k{number}", number) for number in range(9))
    for record in sampler.records():
        sweep.note(state=record.key)
        sampler.note(samples={})
    assert sampler.record("k0")
    sweep.note(state="done")
    sampler.note(samples={})


def test_a_damaged_or_newer_journal_is_refused_in_words(tmp_path: Path):
    path = tmp_path / "journal.sqlite"
    path.write_bytes(b"not a database, but long enough to look like one " * 50)
    with pytest.raises(UserError, match="cannot be read"):
        Journal(path)
    path.unlink()
    journal = Journal(path)
    journal.db.execute(f"pragma user_version = {len(UPGRADES) + 1}")
    journal.close()
    with pytest.raises(UserError, match="newer automate-train"):
        Journal(path)


def test_notes(tmp_path: Path):
    journal = Journal(tmp_path / "journal.sqlite")
    journal.note(state="running", total=3)
    journal.note(state="done", waiting={"why": "한글"})
    assert journal.notes() == {"state": "done", "total": 3, "waiting": {"why": "한글"}}


@pytest.mark.parametrize("content", [b"", None])
def test_a_journal_whose_making_was_cut_short_is_an_empty_one(tmp_path: Path, content: bytes | None):
    file = tmp_path / "journal.sqlite"
    if content is None:
        db = sqlite3.connect(file)
        db.execute("pragma journal_mode = wal")
        db.close()
    else:
        file.write_bytes(content)
    before = file.read_bytes()
    reader = Journal(file, read_only=True)
    assert reader.done() == set() and list(reader.records()) == [] and reader.notes() == {}
    assert file.read_bytes() == before
    writer = Journal(file)
    writer.begin(run("a"), (), 1.0)
    assert [record.key for record in Journal(file, read_only=True).records()] == ["a"]


def test_a_transaction_that_cannot_be_committed_is_over(tmp_path: Path):
    journal = Journal(tmp_path / "journal.sqlite")
    pages = journal.db.execute("pragma page_count").fetchone()[0]
    journal.db.execute(f"pragma max_page_count = {pages + 1}")  # a disk that is full
    with pytest.raises(sqlite3.OperationalError, match="full"):
        journal.note(much="x" * 100_000)
    assert not journal.db.in_transaction
    journal.db.execute("pragma max_page_count = 100000")
    journal.note(much="x" * 100_000)
    assert len(journal.notes()["much"]) == 100_000


FIRST_EDITION = Path(__file__).parents[1] / "data/first_edition/out/boats/journal.sqlite"


def test_a_journal_of_the_first_edition_is_brought_up_to_date(tmp_path: Path):
    file = tmp_path / "journal.sqlite"
    shutil.copyfile(FIRST_EDITION, file)
    with closing(sqlite3.connect(file)) as db:
        version = db.execute("pragma user_version").fetchone()[0]
        db.execute("update attempt set pid = null, ticks = null, boot = null where id = 1")
        db.commit()
    before = file.read_bytes()
    with closing(Journal(file, read_only=True)) as reader:
        read = list(reader.records())
        saved = [reader.checkpoints(record.key) for record in read]
    assert version < len(UPGRADES) and file.read_bytes() == before, "looking changes nothing"
    with closing(Journal(file)) as journal:
        assert list(journal.records()) == read and journal.damage() is None
        assert [journal.checkpoints(record.key) for record in read] == saved
        assert journal.notes()["sweep_id"] == "5cb53af3"
    assert [record.state for record in read] == ["succeeded", "succeeded", "failed", "waiting"]
    assert [[attempt.number for attempt in record.attempts] for record in read] == [[1], [1, 2], [1], []]
    handles = [attempt.handle for record in read for attempt in record.attempts]
    assert handles[3] == "" and handles[0] == "26688 345573 49b742a3-3147-4704-aff2-61aa6ca5c2e5"
    failed = read[2].attempts[0].outcome
    assert failed and (failed.exit_code, failed.cause) == (1, "broken_file")
    assert [(each.which, each.attempt) for each in saved[1]] == [("epoch", 1), ("epoch", 2), ("last", 2)]


def test_the_record_of_a_start_waits_for_no_disk(tmp_path: Path):
    """A full WAL is moved into the database by the next commit that is not a start's."""
    with closing(Journal(tmp_path / "journal.sqlite")) as journal:
        moved = 0
        for number in range(400):
            before = journal.path.stat().st_mtime_ns
            begun = journal.begin(run(f"k{number}"), (), 1.0)
            assert journal.path.stat().st_mtime_ns == before
            journal.set_handle(begun.id, "7")
            moved += journal.path.stat().st_mtime_ns != before
        assert moved
    with closing(Journal(tmp_path / "journal.sqlite", read_only=True)) as journal:
        assert len(journal.attempt_folders()) == 400


def test_an_end_is_written_into_the_folder_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    journal = Journal(tmp_path / "journal.sqlite")
    begun = journal.begin(run("k"), ("GPU-1",), 1.0)
    monkeypatch.setattr(journal, "set_outcome", lambda *_: (_ for _ in ()).throw(sqlite3.OperationalError("killed")))
    with pytest.raises(sqlite3.OperationalError):
        journal.end(begun, Outcome("failed", None, "why", "oom"), 2.0, {"loss": float("nan"), "steps": 3})
    folder = AttemptFolder(tmp_path / begun.folder)
    told = read_outcome(folder)
    assert told and (told.outcome, told.ended) == (Outcome("failed", None, "why", "oom"), 2.0)
    assert told.metrics["steps"] == 3 and math.isnan(told.metrics["loss"])
    launch = read_launch(folder)
    assert launch.run == run("k")._replace(id="k") and launch.devices == ("GPU-1",), (
        "also of one that could not be started"
    )


def test_what_a_killed_orchestrator_left_half_written_is_written_anew(tmp_path: Path):
    with closing(Journal(tmp_path / "journal.sqlite")) as journal:
        begun = journal.begin(run("k"), (), 1.0)
        folder = AttemptFolder(tmp_path / begun.folder)
        folder.path.mkdir(parents=True)
        folder.launch.write_text('{"argv": ["/bin/tr')
        folder.outcome.write_text('{"kind": "fai')
        assert read_outcome(folder) is None
        journal.end(begun, Outcome("lost", None, "why"), 2.0, {})
    told = read_outcome(folder)
    assert told and told.outcome.kind == "lost" and read_launch(folder).run == run("k")._replace(id="k")


WRONG = ["x", -1, 1.5, [1], {"a": 1}, True, None, 10**400, float("inf")]


@pytest.mark.parametrize(
    "name", ["loss", "epoch_loss", "epoch_loss_step", "seconds", "steps", "total_steps", "peak_memory", "delivered"]
)
def test_metrics_of_a_wrong_type_were_not_left(tmp_path: Path, name: str):
    folder = AttemptFolder(tmp_path)
    for value in WRONG:
        metrics = {name: value, "checkpoint": "x"}
        folder.outcome.write_text(json.dumps({"kind": "failed", "ended": 1.0, "metrics": metrics}))
        told = read_outcome(folder)
        assert told and told.metrics["checkpoint"] == "x"
        if name in told.metrics:  # a number that a table can show
            assert name not in ("steps", "total_steps", "peak_memory", "delivered"), value
            f"{told.metrics[name] or 0.0:.4g}"
    for text in (
        "",
        "[]",
        '{"kind": "nope", "ended": 1}',
        '{"kind": "failed", "ended": 1e999}',
        '{"kind": ["failed"]}',
    ):
        folder.outcome.write_text(text)
        assert read_outcome(folder) is None


@pytest.mark.parametrize(
    "folder", ["../x/attempt-1", "/etc/attempt-1", "000-p", "000-p/attempt-0", ".x/attempt-1", "a\0/attempt-1"]
)
def test_a_folder_that_leads_out_of_the_sweep_is_damage(tmp_path: Path, folder: str):
    journal = Journal(tmp_path / "journal.sqlite")
    journal.begin(run("k"), (), 1.0)
    journal.db.execute("update attempt set folder = ?", (folder,))
    with pytest.raises(sqlite3.DatabaseError, match="is not a"):
        list(journal.records())
    assert "is not a" in (journal.damage() or "") and Journal.is_damaged(journal.path)


@pytest.mark.parametrize(
    ("column", "value"),
    [("facts", "{"), ("facts", "[1]"), ("devices", "3"), ("devices", "null"), ("facts", '{"steps": "x", "loss": []}')],
)
def test_json_in_it_is_read_with_tolerance(tmp_path: Path, column: str, value: str):
    journal = Journal(tmp_path / "journal.sqlite")
    begun = journal.begin(run("k"), ("GPU-1",), 1.0)
    journal.end(begun, Outcome("succeeded", 0), 2.0, {"steps": 3})
    journal.db.execute(f"update attempt set {column} = ?", (value,))
    (record,) = journal.records()
    assert record.state == "succeeded" and (record.metrics == {} or record.attempts[0].devices == ())
    assert journal.damage() is None


def test_what_is_not_a_regular_file_holds_nobody_up(tmp_path: Path):
    os.mkfifo(tmp_path / "journal.sqlite")
    for read_only in (True, False):
        with pytest.raises(UserError, match="not a regular file"):
            Journal(tmp_path / "journal.sqlite", read_only=read_only)
    assert Journal.is_damaged(tmp_path / "journal.sqlite")


def test_two_processes_bring_an_old_journal_up_to_date_at_once(tmp_path: Path):
    """Both have seen the old version before either has upgraded it."""
    path = tmp_path / "journal.sqlite"
    with closing(sqlite3.connect(path)) as db:
        db.executescript(f"{UPGRADES[0]} pragma user_version = 1;")
    barrier = threading.Barrier(2)

    def upgrade() -> int:
        with closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as db:
            db.set_trace_callback(
                lambda sql: barrier.wait(10) if sql.startswith("begin immediate") and not met.pop() else None
            )
            database._upgrade(db, path)
            return int(db.execute("pragma user_version").fetchone()[0])

    met = [True] * 99 + [False, False]  # the first two transactions begin together
    with ThreadPoolExecutor(2) as pool:
        versions = [each.result() for each in [pool.submit(upgrade) for _ in range(2)]]
    assert versions == [len(UPGRADES)] * 2
