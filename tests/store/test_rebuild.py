"""A damaged journal: moved aside, made again from the folders, and nothing that succeeded is run again."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import pytest
import sampler_kit
import webui_kit

from automate_train.display import status
from automate_train.records import Launch, Outcome, RunRecord
from automate_train.store.journal import Journal
from automate_train.store.launch import write_attempt
from automate_train.store.layout import SweepFolder
from automate_train.store.outcome import write_outcome
from automate_train.store.rebuild import open_journal
from automate_train.store.sample_journal import note_counts

COUNTED = ["/bin/sh", "-c", 'echo x >>"count-$0"; [ "$0" != 2 ] || [ -e good ] || exit 4', "{n}"]


def damage(path, how: str) -> None:
    data = bytearray(path.read_bytes())
    if how == "text":
        data = bytearray(b"not a database at all" * 100)
    elif how == "empty pages":
        data[4096:] = bytes(len(data) - 4096)
    elif how == "cut":
        del data[5000:]
    path.write_bytes(data)
    for end in ("-wal", "-shm"):
        if os.path.exists(f"{path}{end}"):
            os.unlink(f"{path}{end}")


@pytest.mark.parametrize("how", ["text", "empty pages", "cut"])
def test_a_damaged_journal_is_made_again(automate_train, sweep_files, tmp_path, how):
    flags = sweep_files(COUNTED, {"n_list": [0, 1, 2, 3]}, on_failure="continue")
    assert automate_train(*flags).returncode == 1
    before = json.loads(automate_train("status", "out", "--json").stdout)["runs"]
    damage(tmp_path / "out/p/journal.sqlite", how)
    (tmp_path / "good").touch()
    again = automate_train(*flags)
    assert again.returncode == 0 and "4 attempts were read back" in again.stdout, again.stdout + again.stderr
    assert len(list((tmp_path / "out/p").glob("journal.sqlite.damaged-*"))) >= 1
    assert [(tmp_path / f"count-{n}").read_text().count("x") for n in range(4)] == [1, 1, 2, 1]
    after = json.loads(automate_train("status", "out", "--json").stdout)["runs"]
    assert [run["state"] for run in after] == ["succeeded"] * 4
    for old, new in zip(before, after, strict=True):
        assert {key: old[key] for key in ("index", "key", "name", "varied")} == {
            key: new[key] for key in ("index", "key", "name", "varied")
        }


def test_a_lost_journal_is_made_again(automate_train, sweep_files, tmp_path):
    flags = sweep_files(COUNTED, {"n_list": [0, 1]})
    assert automate_train(*flags).returncode == 0
    for file in (tmp_path / "out/p").glob("journal.sqlite*"):
        file.unlink()
    again = automate_train(*flags)
    assert again.returncode == 0 and "2 attempts were read back from their folders" in again.stdout
    assert [(tmp_path / f"count-{n}").read_text() for n in range(2)] == ["x\n", "x\n"]
    assert automate_train(*flags, "--rerun").returncode == 0
    assert sorted(path.parent.name[:3] + path.name for path in (tmp_path / "out/p").glob("*/attempt-*")) == [
        "000attempt-1", "000attempt-2", "001attempt-1", "001attempt-2",
    ]  # fmt: skip


def test_status_of_a_damaged_journal_says_what_to_do(automate_train, sweep_files, tmp_path):
    assert automate_train(*sweep_files(COUNTED, {"n_list": [0, 1]})).returncode == 0
    damage(tmp_path / "out/p/journal.sqlite", "cut")
    done = automate_train("status", "out")
    assert done.returncode == 2 and "the sweep's own command repairs it" in done.stderr


def lose_journal(sweep: Path) -> None:
    for file in sweep.glob("journal.sqlite*"):
        file.unlink()


def without_ids(records: Iterable[RunRecord]) -> list[RunRecord]:
    """Records without what an index alone knows: its numbers, and the handles of attempts that have ended."""
    return [
        record._replace(attempts=tuple(attempt._replace(id=0, handle="") for attempt in record.attempts))
        for record in records
    ]


def test_nothing_is_lost_with_the_journal(automate_train, sweep_files, tmp_path: Path):
    """A finished sweep: a run that failed, one that could not be started, checkpoints, what was delivered."""
    sweep = SweepFolder(tmp_path / "out", "p")
    event = '{"at": 5, "kind": "checkpoint", "path": "/x/e.safetensors", "which": "epoch", "epoch": 1, "step": 4}'
    metrics = '{"at": 6, "kind": "metrics", "step": 4, "epoch": 1, "loss": 0.25}'
    script = f"printf '%s\\n' '{event}' '{metrics}' >>$AUTOMATE_TRAIN_ATTEMPT/events.jsonl"
    command = ["/bin/sh", "-c", f'{script}; [ "$0" != 1 ] || exit 4', "{n}"]
    assert automate_train(*sweep_files(command, {"n_list": [0, 1, 2]}, on_failure="continue")).returncode == 1
    with closing(Journal(sweep.journal)) as journal:
        (unstartable,) = (record for record in journal.records() if record.index == 2)
        begun = journal.begin(unstartable._replace(key="f" * 16, index=3, number=3, slug="never"), (), 1.0)
        journal.end(begun, Outcome("failed", None, "could not be started: no such file"), 2.0, {"delivered": ["/l/x"]})
        note_counts(sweep, journal, {"left": 2, "done": 5})
    before = json.loads(automate_train("status", "out", "--json").stdout)
    with closing(Journal(sweep.journal, read_only=True)) as journal:
        records, notes = list(journal.records()), journal.notes()
        saved = [journal.checkpoints(record.key) for record in records]
    assert [run["state"] for run in before["runs"]] == ["succeeded", "failed", "succeeded", "failed"]
    assert saved[0][0].path == "/x/e.safetensors" and before["runs"][0]["loss"] == 0.25
    lose_journal(sweep.path)
    said: list[str] = []
    journal = open_journal(sweep, said.append)
    with closing(journal):
        assert said == ["4 attempts were read back from their folders: the journal was gone"]
        assert journal.done() == {record.key for record in records if record.state == "succeeded"}
        assert without_ids(journal.records()) == without_ids(records)
        assert [journal.checkpoints(record.key) for record in records] == saved
        for name in ("sweep_id", "command", "cwd", "state", "samples"):
            assert journal.notes()[name] == notes[name], name
    assert json.loads(automate_train("status", "out", "--json").stdout) == before


@pytest.mark.slow
def test_seeds_and_prompt_files_are_read_back_from_the_pictures(tmp_path: Path):
    with webui_kit.running(tmp_path / "server", seconds=0.01) as double:
        prompts = [{"prompt": "a cat"}, {"prompt": "a dog", "seed": 3}, {"prompt": "a cow", "baseline": True}]
        made = sampler_kit.Sweep(tmp_path / "a", [double.url])
        (tmp_path / "prompts.json").write_text(json.dumps({"prompts": prompts}))
        for key in ("k0", "k1"):
            made.run(key, epochs=1, prompt_path=str(tmp_path / "prompts.json"))
        assert made.sample()[0] == 0
    sweep = made.folder
    with closing(sqlite3.connect(sweep.journal)) as db:
        seeds = set(db.execute("select * from sample_seed"))
        digests = set(db.execute("select * from note where name like 'sample_prompts %'"))
    before = json.loads(json.dumps(status.as_json(made.journal, sweep)))
    made.journal.close()
    assert len(seeds) == 2 and len(digests) == 2
    lose_journal(sweep.path)
    journal = open_journal(sweep, lambda text: None)
    with closing(journal):
        assert {tuple(row) for row in journal.db.execute("select * from sample_seed")} == seeds
        notes = journal.db.execute("select * from note where name like 'sample_prompts %'")
        assert {tuple(row) for row in notes} == digests
        assert json.loads(json.dumps(status.as_json(journal, sweep))) == before


def test_an_attempt_that_was_killed_is_read_back_as_open(tmp_path: Path):
    sweep = SweepFolder(tmp_path, "p")
    sweep.path.mkdir()
    with closing(Journal(sweep.journal)) as journal:
        record = RunRecord("k", 0, 0, "p", "p", {}, {})
        begun = journal.begin(record, ("GPU-1",), 5.0)
        write_attempt(sweep.attempt(begun.folder), Launch(("x",), "/"), record, ("GPU-1",), 5.0)
    lose_journal(sweep.path)
    journal = open_journal(sweep, lambda text: None)
    with closing(journal):
        assert journal.open_attempts() == [begun] and journal.done() == set()


def test_an_outcome_without_its_row_is_entered(tmp_path: Path):
    """The orchestrator was killed between the two."""
    sweep = SweepFolder(tmp_path, "p")
    sweep.path.mkdir()
    with closing(Journal(sweep.journal)) as journal:
        begun = journal.begin(RunRecord("k", 0, 0, "p", "p", {}, {}), (), 5.0)
        folder = sweep.attempt(begun.folder)
        folder.path.mkdir(parents=True)
        saved = {"at": 8.0, "kind": "checkpoint", "path": "/x/a-000001.safetensors", "epoch": 1, "step": 3}
        folder.events.write_text(json.dumps(saved) + "\n")
        write_outcome(folder, Outcome("succeeded", 0), 9.0, {"steps": 3})
    journal = open_journal(sweep, lambda text: None)
    with closing(journal):
        assert journal.open_attempts() == [] and journal.done() == {"k"}
        assert [each.step for each in journal.checkpoints("k")] == [3], "of which samples are to be made"


HOSTILE_LAUNCHES = [
    '{"run": {"key": "k", "index": 1234567890123456789012345, "number": 0, "name": "p", "slug": "p", "options": {}}}',
    '{"run": {"key": "\\ud800", "index": 0, "number": 0, "name": "p", "slug": "p", "options": {}}}',
    '{"run": {"key": "k", "index": NaN, "number": 0, "name": "p", "slug": "p", "options": {}}}',
    '{"run": [], "devices": 3}', "[]", "", "{", '{"run": ' + "[" * 100_000,
]  # fmt: skip


@pytest.mark.parametrize("content", HOSTILE_LAUNCHES)
def test_folders_that_we_did_not_write_are_left_alone(tmp_path: Path, content: str):
    sweep = SweepFolder(tmp_path, "p")
    (sweep.path / "000-p/attempt-1").mkdir(parents=True)
    (sweep.path / "000-p/attempt-1/launch.json").write_text(content)
    (sweep.path / f"000-p/attempt-{'9' * 200}").mkdir()
    os.mkfifo(sweep.path / "001-fifo")
    (sweep.path / "002-p/attempt-1").mkdir(parents=True)
    os.mkfifo(sweep.path / "002-p/attempt-1/launch.json")
    journal = open_journal(sweep, lambda text: None)
    with closing(journal):
        assert list(journal.records()) == []
