"""Reading events.jsonl: whole lines, safe values, steps of the whole training."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from automate_train.records import Launch, Resume
from automate_train.store.events import read_events, read_file, which
from automate_train.store.launch import write_attempt
from automate_train.store.layout import AttemptFolder


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


def told(tmp_path: Path, line: str) -> dict[str, Any]:
    (tmp_path / "events.jsonl").write_text(f'{{"at": 1, "kind": "metrics", {line}}}\n')
    [event], _ = read_file(tmp_path / "events.jsonl")
    return dict(event.data)


COUNTS = ("step", "epoch", "epochs", "total_steps", "peak_memory", "size", "inf", "tensors")
WRONG_COUNTS = ["-1", "1.5", "true", '"6"', "[6]", "{}", "null", "NaN", "1e999", "-Infinity"]


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("value", WRONG_COUNTS)
def test_a_count_of_another_type_was_not_told(tmp_path: Path, name: str, value: str):
    assert told(tmp_path, f'"{name}": {value}, "loss": 0.5') == {"loss": 0.5}


@pytest.mark.parametrize("value", ["NaN", "-Infinity", "1e999", "-1e999"])
def test_a_loss_that_is_not_finite_is_told_as_nan_and_an_average_is_not(tmp_path: Path, value: str):
    assert told(tmp_path, f'"loss": {value}, "step": 3') == {"step": 3, "nan": True}
    assert told(tmp_path, f'"loss": 0.5, "average": {value}, "step": 3') == {"loss": 0.5, "step": 3}


@pytest.mark.parametrize("value", ["true", '"0.5"', "[0.5]", "{}"])
def test_a_loss_of_another_type_was_not_told(tmp_path: Path, value: str):
    assert told(tmp_path, f'"loss": {value}, "average": {value}, "step": 3') == {"step": 3}


@pytest.mark.parametrize("value", ["3", "true", "null", "[1]", "{}", "NaN"])
@pytest.mark.parametrize("name", ["path", "which", "where", "error", "name", "tag"])
def test_a_text_of_another_type_was_not_told(tmp_path: Path, name: str, value: str):
    assert told(tmp_path, f'"{name}": {value}, "step": 3') == {"step": 3}


def test_other_fields_hold_no_number_that_json_lacks(tmp_path: Path):
    line = '"lr": {"unet": NaN, "te": 1e-4}, "other": [1], "mine": {"deep": [1e999, {"x": -Infinity}]}, "nan": "yes"'
    assert told(tmp_path, line) == {"lr": {"unet": None, "te": 1e-4}, "mine": {"deep": [None, {"x": None}]}}


@pytest.mark.parametrize("at", ["1e12", "-1", "1e999", "true", '"soon"', "null", "[1]"])
def test_a_time_that_no_calendar_shows_is_no_event(tmp_path: Path, at: str):
    (tmp_path / "events.jsonl").write_text(f'{{"at": {at}, "kind": "metrics"}}\n')
    assert read_file(tmp_path / "events.jsonl")[0] == []


def test_steps_of_a_resumed_attempt_are_those_of_the_whole_training(tmp_path: Path):
    attempt = AttemptFolder(tmp_path / "attempt-2")
    write_attempt(attempt, Launch(("x",), "/", resume=Resume("/state", 13, 12)))
    lines = [
        '{"at": 1, "kind": "metrics", "step": 1}',
        '{"at": 1, "kind": "checkpoint", "step": 3}',
        '{"at": 2, "kind": "end"}',
    ]
    attempt.events.write_text("\n".join(lines) + "\n")
    assert [event.data.get("step") for event in read_events(attempt)[0]] == [13, 15, None]
    for text in ("[]", "{", '{"not_counted": -3}', '{"not_counted": "12"}', '{"not_counted": 1e999}', ""):
        attempt.resume.write_text(text)
        assert [event.data.get("step") for event in read_events(attempt)[0]] == [1, 3, None]


@pytest.mark.parametrize("depth", [400, 900, 990, 5000])
def test_deeply_nested_values_hurt_nobody(tmp_path: Path, depth: int):
    (tmp_path / "events.jsonl").write_text(f'{{"at": 1, "kind": "x", "mine": {"[" * depth}{"]" * depth}}}\n')
    events, _ = read_file(tmp_path / "events.jsonl")
    assert [event.kind for event in events] in ([], ["x"]) and (events or depth > 400)
