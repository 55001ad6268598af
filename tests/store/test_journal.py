"""The journal: what it remembers over restarts and kills, and how run folders get their names."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from automate_train.errors import UserError
from automate_train.records import Checkpoint, Outcome, RunRecord
from automate_train.store.journal import Journal
from automate_train.store.schema import UPGRADES


def run(key: str, index: int = 0, **varied: str) -> RunRecord:
    name = "_".join(["p", *(f"{name}={value}" for name, value in varied.items())])
    return RunRecord(key, index, index, name, name.replace("=", "-"), varied, {"seed": 1, **varied})


def test_a_run_from_plan_to_success(tmp_path: Path):
    journal = Journal(tmp_path / "journal.sqlite")
    journal.plan([run("k0", 0, lr="1e-4"), run("k1", 1, lr="2e-4")])
    begun = journal.begin(run("k0", 0, lr="1e-4"), ("GPU-1",), 100.0)
    assert (begun.folder, begun.number) == ("000-p_lr-1e-4/attempt-1", 1)
    journal.set_handle(begun.id, "42 7 boot")
    saved = Checkpoint("/x.safetensors", "epoch", 1, 10, 101.0)
    journal.add_checkpoint(begun.id, saved)
    journal.add_checkpoint(begun.id, saved)
    (opened,) = journal.open_attempts()
    assert opened == replace(begun, handle="42 7 boot")
    journal.end(begun, Outcome("succeeded", 0, cause="x"), 130.0, {"loss": 0.5})
    first, second = journal.records()
    ended = replace(opened, ended=130.0, outcome=Outcome("succeeded", 0, cause="x"), metrics={"loss": 0.5})
    assert first.attempts == (ended,) and journal.record("k0") == first and journal.record("k9") is None
    assert (first.state, first.metrics, first.varied, second.state) == (
        "succeeded",
        {"loss": 0.5},
        {"lr": "1e-4"},
        "waiting",
    )
    assert journal.succeeded() == {"k0"} and journal.open_attempts() == []
    assert journal.checkpoints("k0") == [replace(saved, attempt=1)]


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


def test_plans_of_yesterday_are_forgotten_but_not_what_ran(tmp_path: Path):
    journal = Journal(tmp_path / "journal.sqlite")
    journal.plan([run("gone", 0), run("ran", 1)])
    journal.begin(run("ran", 1), (), 1.0)
    journal.forget_waiting()
    assert [record.key for record in journal.records()] == ["ran"]


def test_waiting_runs_are_aborted_and_wait_again_with_the_next_plan(tmp_path: Path):
    journal = Journal(tmp_path / "journal.sqlite")
    journal.plan([run("a", 0), run("b", 1)])
    begun = journal.begin(run("a", 0), (), 1.0)
    journal.end(begun, Outcome("failed", 1), 2.0, {})
    journal.abort_waiting()
    assert [record.state for record in journal.records()] == ["failed", "aborted"]
    journal.plan([run("b", 1)])
    assert [record.state for record in journal.records()] == ["failed", "waiting"]


def test_together_is_all_or_nothing(tmp_path: Path):
    journal = Journal(tmp_path / "journal.sqlite")
    with pytest.raises(RuntimeError), journal.transaction():
        journal.plan([run("a")])
        raise RuntimeError
    assert list(journal.records()) == []


KILLED = """
import os, sys
from pathlib import Path
from automate_train.records import RunRecord
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
    journal.plan([run("a")])
    reader = Journal(tmp_path / "journal.sqlite", read_only=True)
    assert len(list(reader.records())) == 1
    reader.close()
    journal.close()
    assert os.listdir(tmp_path) == ["journal.sqlite"]
    reader = Journal(tmp_path / "journal.sqlite", read_only=True)
    assert len(list(reader.records())) == 1
    assert os.listdir(tmp_path) == ["journal.sqlite"]


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
    assert reader.succeeded() == set() and list(reader.records()) == [] and reader.notes() == {}
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
