"""sweep.json: what the sweep as a whole must not lose with its journal."""

from __future__ import annotations

from pathlib import Path

import pytest

from automate_train.store.journal import Journal
from automate_train.store.layout import SweepFolder
from automate_train.store.sweep_file import note_sweep, read_sweep, sweep_id


@pytest.fixture
def folder(tmp_path: Path) -> SweepFolder:
    (tmp_path / "p").mkdir()
    return SweepFolder(tmp_path, "p")


def test_the_id_is_drawn_once(folder: SweepFolder):
    journal = Journal(folder.journal)
    first = sweep_id(folder, journal)
    assert len(first) == 8 and int(first, 16) >= 0 and sweep_id(folder, journal) == first
    note_sweep(folder, journal, state="running", command=["a"], cwd="/")
    folder.journal.unlink()
    assert sweep_id(folder, Journal(folder.journal)) == first
    assert read_sweep(folder) == {"sweep_id": first, "state": "running", "command": ["a"], "cwd": "/"}


def test_what_the_first_edition_noted_is_kept(folder: SweepFolder):
    journal = Journal(folder.journal)
    journal.note(sweep_id="5cb53af3", command=["old"], cwd="/old", waiting={"k": "why"})
    note_sweep(folder, journal, state="done")
    assert read_sweep(folder) == {"sweep_id": "5cb53af3", "command": ["old"], "cwd": "/old", "state": "done"}
    assert journal.notes()["state"] == "done"


@pytest.mark.parametrize("content", ["", "[]", "{", '{"sweep_id": "abc", "evil": 1}'])
def test_a_changed_file_is_read_with_tolerance(folder: SweepFolder, content: str):
    folder.about.write_text(content)
    assert read_sweep(folder) == ({"sweep_id": "abc"} if "abc" in content else {})
    assert sweep_id(folder, Journal(folder.journal))
