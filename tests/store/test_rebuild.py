"""A damaged journal: moved aside, made again from the folders, and nothing that succeeded is run again."""

from __future__ import annotations

import json
import os

import pytest

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
