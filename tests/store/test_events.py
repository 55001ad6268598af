"""Reading events.jsonl: whole lines, safe values, steps of the whole training."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from automate_train.store.events import read_file, which


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


@pytest.mark.parametrize(
    ("stem", "kind"),
    [("out/r-000003.safetensors", "epoch"), ("r-step00000100.ckpt", "step"), ("r", "last"), ("r-12", "last")],
)
def test_what_a_name_tells(stem, kind):
    assert which(stem) == kind
