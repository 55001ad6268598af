"""The atomic write, and JSON that anybody may have changed."""

from __future__ import annotations

import os
from pathlib import Path
from threading import Thread

import pytest

from automate_train.store.files import create, read_json, write


def test_write_leaves_no_half_file(tmp_path: Path):
    write(tmp_path / "x", "one")
    write(tmp_path / "x", "two")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("x", "two")]


def test_writers_at_the_same_time_leave_one_whole_file(tmp_path: Path):
    texts = [letter * 300_000 for letter in "abcd"]
    threads = [Thread(target=lambda text=text: [write(tmp_path / "x", text) for _ in range(20)]) for text in texts]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        if (tmp_path / "x").exists():
            assert (tmp_path / "x").read_text() in texts
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_write_that_fails_leaves_the_old_content_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write(tmp_path / "x", "old")
    monkeypatch.setattr(os, "write", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space"):
        write(tmp_path / "x", "new")
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == ["x"] and (tmp_path / "x").read_text() == "old"


def test_no_link_is_followed(tmp_path: Path):
    (tmp_path / "victim").write_text("theirs")
    (tmp_path / ".x.half").symlink_to("victim")
    (tmp_path / "y").symlink_to("victim")
    (tmp_path / "z").symlink_to("nothing")
    with pytest.raises(OSError):
        write(tmp_path / "x", "ours")
    for name in "yz":
        with pytest.raises(FileExistsError):
            create(tmp_path / name, "ours")
    assert (tmp_path / "victim").read_text() == "theirs" and not (tmp_path / "nothing").exists()


def test_ctrl_c_just_after_the_rename_is_ctrl_c(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    rename = os.replace

    def interrupted(temp: str, path: str) -> None:
        rename(temp, path)
        Path(temp).write_text("another writer's")
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "x", "new")
    assert (tmp_path / "x").read_text() == "new" and (tmp_path / ".x.half").read_text() == "another writer's"


def test_a_first_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "write", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space"):
        create(tmp_path / "x", "new")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "content",
    [b"", b"[1]", b'{"a": 1', b"\xff\xfe", b'{"a": "\\ud800"}', b'{"a":' * 100_000, b'{"a": ' + b"1" * 5000 + b"}"],
)
def test_what_is_not_a_json_object_is_none(tmp_path: Path, content: bytes):
    (tmp_path / "x").write_bytes(content)
    assert read_json(tmp_path / "x") is None


def test_what_is_not_a_regular_file_holds_nobody_up(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    assert [read_json(tmp_path / name) for name in ("pipe", ".", "none")] == [None] * 3
