"""Files of an attempt: written once, tailed while they grow, delivered whole or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from automate_train.records import Cache, Launch
from automate_train.store.events import read_file
from automate_train.store.files import write
from automate_train.store.launch import read_launch, write_attempt
from automate_train.store.layout import AttemptFolder, SweepFolder, is_filled, mark, mark_filled


def test_what_was_asked_for_is_written_without_secrets(tmp_path: Path):
    folder = SweepFolder(tmp_path, "p").attempt("000-x/attempt-1")
    made = Launch(
        ("prog", "--a"), "/", {"A": "1"}, {"WANDB_API_KEY": "hush"}, {"training.toml": "x = 1\n", "hook/run.py": "pass"}
    )
    write_attempt(folder, made)
    assert folder.path == tmp_path / "p" / "000-x" / "attempt-1"
    assert (folder.path / "training.toml").read_text() == "x = 1\n"
    assert (folder.path / "hook/run.py").read_text() == "pass"
    asked = json.loads((folder.path / "launch.json").read_text())
    assert asked["argv"] == ["prog", "--a"] and asked["env"] == {"A": "1"} and asked["secrets"] == ["WANDB_API_KEY"]
    assert not any("hush" in file.read_text() for file in folder.path.rglob("*") if file.is_file())
    assert "hush" not in repr(made)
    with pytest.raises(FileExistsError):
        write_attempt(folder, made)


def test_links_stand_in_for_pictures_and_leave_the_users_folder_alone(tmp_path: Path):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    (pictures / "a.png").write_bytes(b"picture")
    cache = Cache(str(tmp_path / "datasets" / "h"), {"a.png": str(pictures / "a.png")})
    for number in (1, 2):
        write_attempt(AttemptFolder(tmp_path / f"attempt-{number}"), Launch(("x",), "/", caches=(cache,)))
    assert (Path(cache.path) / "a.png").read_bytes() == b"picture"
    assert [path.name for path in pictures.iterdir()] == ["a.png"]
    assert not is_filled(cache)
    mark_filled(cache)
    assert is_filled(cache)


def test_delivery_is_whole_and_replaces(tmp_path: Path):
    folder = AttemptFolder(tmp_path / "a")
    target = tmp_path / "loras" / "x.safetensors"
    write_attempt(folder, Launch(("x",), "/", keep={"output/x.safetensors": str(target)}))
    (folder.output / "x.safetensors").write_bytes(b"new")
    target.parent.mkdir()
    target.write_bytes(b"old")
    assert folder.deliver(read_launch(folder).keep) == [str(target)]
    assert target.read_bytes() == b"new"
    (folder.output / "x.safetensors").unlink()
    with pytest.raises(OSError):
        folder.deliver(read_launch(folder).keep)
    assert target.read_bytes() == b"new" and [path.name for path in target.parent.iterdir()] == ["x.safetensors"]


def test_events_are_tailed_and_untrusted(tmp_path: Path):
    file = tmp_path / "events.jsonl"
    assert read_file(file) == ([], 0)
    good = b'{"at": 1.5, "kind": "metrics", "step": 3}\n'
    rubbish = b'nonsense\n[1]\n{"kind": "x"}\n{"at": "x", "kind": 1}\n' + b'{"a":' * 2000 + b"\n\xff\xfe\n"
    file.write_bytes(good + rubbish + good[:10])
    events, offset = read_file(file)
    assert [(event.at, event.kind, event.data) for event in events] == [(1.5, "metrics", {"step": 3})]
    with file.open("ab") as f:
        f.write(good[10:])
    events, offset = read_file(file, offset)
    assert len(events) == 1 and read_file(file, offset) == ([], offset)


def test_the_tail_shows_bars_in_their_last_state(tmp_path: Path):
    folder = AttemptFolder(tmp_path)
    folder.console.write_bytes(
        "a\nsteps: 0%\rsteps: 50%\rsteps: 99%\nb \xff\n\n".encode("utf-8", "replace") + b"\xff\n"
    )
    assert folder.tail(3) == ["steps: 99%", "b ÿ", "\ufffd"]
    assert AttemptFolder(tmp_path / "gone").tail() == []


def test_write_leaves_no_half_file(tmp_path: Path):
    write(tmp_path / "x", "one")
    write(tmp_path / "x", "two")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("x", "two")]


def test_a_lora_of_another_run_is_never_replaced(tmp_path: Path):
    target = tmp_path / "loras" / "x.safetensors"
    keep = {"output/x.safetensors": str(target), "training.toml": str(target.with_suffix(".toml"))}

    def deliver(name: str, key: str) -> list[str]:
        folder = AttemptFolder(tmp_path / name / "attempt-1")
        write_attempt(
            folder, Launch(("x",), "/", keep=keep, files={"training.toml": f"c = 'automate-train key={key}'"})
        )
        (folder.output / "x.safetensors").write_bytes(name.encode() + b" mine automate-train key=" + key.encode())
        return [Path(path).name for path in folder.deliver(read_launch(folder).keep)]

    assert deliver("first", "1" * 16) == ["x.safetensors", "x.toml"]
    assert deliver("other", "2" * 16) == ["x-22222222.safetensors", "x-22222222.toml"]
    assert deliver("again", "1" * 16) == ["x.safetensors", "x.toml"]  # the same run once more: its newest attempt
    assert target.read_bytes().startswith(b"again") and mark(target) == "1" * 16
    assert mark(tmp_path / "loras/x-22222222.safetensors") == "2" * 16
    target.write_bytes(b"the user's own")
    assert deliver("third", "1" * 16) == ["x-11111111.safetensors", "x-11111111.toml"]
    assert target.read_bytes() == b"the user's own"


def test_events_that_are_no_plain_file_hold_nobody_up(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    for name in ("pipe", "zero", ".", "none"):
        assert read_file(tmp_path / name, 3) == ([], 3)


def test_events_that_nothing_could_hold_are_skipped(tmp_path: Path):
    file = tmp_path / "events.jsonl"
    good = '{"at": 1, "kind": "metrics", "loss": 0.5, "path": "\\ud83e\\udd84"}\n'
    bad = ['{"at": 1e999, "kind": "x"}', '{"at": NaN, "kind": "x"}',
           '{"at": 1, "kind": "x", "step": 9999999999999999999}', '{"at": 1, "kind": "x", "path": "\\ud800"}',
           '{"at": 1, "kind": "\\udc80"}']  # fmt: skip
    file.write_text("\n".join(bad) + "\n" + good)
    [event], offset = read_file(file)
    assert event.data == {"loss": 0.5, "path": "\N{UNICORN FACE}"} and offset == file.stat().st_size


def test_events_are_read_in_pieces_and_endless_lines_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("automate_train.store.events.CHUNK", 64)
    file = tmp_path / "events.jsonl"
    lines = [f'{{"at": {number}, "kind": "metrics"}}\n' for number in range(20)]
    file.write_text("".join(lines) + "x" * 1000 + "\n" + lines[3] + '{"at": 4, ')
    found, offset = read_file(file)
    assert [event.at for event in found] == [*range(20), 3] and file.read_text()[offset:] == '{"at": 4, '


@pytest.mark.parametrize("content", [b"", b"0", b"\xff\n", "²\n".encode(), b"0x1\n", b"1" * 5000 + b"\n", b"-1\n"])
def test_what_is_no_exit_code_is_none(tmp_path: Path, content: bytes):
    (tmp_path / "exit_code").write_bytes(content)
    assert AttemptFolder(tmp_path).read_exit_code() is None
