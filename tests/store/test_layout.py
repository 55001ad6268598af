"""Names of files and folders, and the files that hold one line."""

from __future__ import annotations

import ast
import os
import re
from pathlib import Path

import pytest

import automate_train
from automate_train.errors import UserError
from automate_train.store.layout import AttemptFolder, _Inside, find_sweep


def test_the_tail_shows_bars_in_their_last_state(tmp_path: Path):
    folder = AttemptFolder(tmp_path)
    folder.console.write_bytes(
        "a\nsteps: 0%\rsteps: 50%\rsteps: 99%\nb \xff\n\n".encode("utf-8", "replace") + b"\xff\n"
    )
    assert folder.tail(3) == ["steps: 99%", "b ÿ", "\ufffd"]
    assert AttemptFolder(tmp_path / "gone").tail() == []


@pytest.mark.parametrize("content", [b"", b"0", b"\xff\n", "²\n".encode(), b"0x1\n", b"1" * 5000 + b"\n", b"-1\n"])
def test_what_is_no_exit_code_is_none(tmp_path: Path, content: bytes):
    (tmp_path / "exit_code").write_bytes(content)
    assert AttemptFolder(tmp_path).read_exit_code() is None


def test_the_hook_uses_the_same_names():
    """Its modules run in the trainer's process and can import nothing from here."""
    names = {field.name for field in vars(AttemptFolder).values() if isinstance(field, _Inside)}
    found = set()
    for module in (Path(automate_train.__file__).parent / "hook").glob("*.py"):
        tree = ast.parse(module.read_text(encoding="utf-8"))
        found |= {
            each.value for each in ast.walk(tree) if isinstance(each, ast.Constant) and isinstance(each.value, str)
        }
    files = {each for each in found if re.fullmatch(r"\w+\.(json|jsonl|toml|log)", each)}
    assert files == {"hook.json", "events.jsonl"} and files <= names
    assert {"output", "sample"} <= found and AttemptFolder("/x").samples == Path("/x/output/sample")
    assert ".final" in found and AttemptFolder("/x").final("c") == Path("/x/output/sample/c.final")


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("attempt-1", 1),
        ("attempt-10", 10),
        ("attempt-", 0),
        ("attempt-x", 0),
        ("attempt-²", 0),
        ("attempt-" + "9" * 5000, 0),
    ],
)
def test_the_number_of_an_attempt(name: str, number: int):
    assert AttemptFolder(f"/p/000-r/{name}").number == number


def test_a_sweep_is_found_by_its_folder_or_its_home(tmp_path: Path):
    with pytest.raises(UserError, match="there is no sweep here"):
        find_sweep(tmp_path)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "journal.sqlite").touch()
        assert find_sweep(tmp_path / name).path == tmp_path / name
        if name == "a":
            assert find_sweep(tmp_path).path == tmp_path / name
    with pytest.raises(UserError, match="several sweeps are here: a, b"):
        find_sweep(tmp_path)


def test_the_consoles_last_lines_do_not_steer_a_terminal(tmp_path: Path):
    attempt = AttemptFolder(tmp_path)
    attempt.console.write_bytes(
        "\x1b]0;owned\x07\x1b[31m배 보트 船\x1b[0m\n\x1b[2J\x1b[1;1Hgone\x08\n"
        "steps: 10%\rsteps: 50%\n\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\\u202e\x9b31m\ta\n".encode()
    )
    assert attempt.tail() == ["배 보트 船", "gone", "steps: 50%", "link31m\ta"]


def test_a_pipe_where_a_file_should_be_holds_nobody_up(tmp_path: Path):
    attempt = AttemptFolder(tmp_path)
    os.mkfifo(attempt.exit_code)
    os.mkfifo(attempt.console)
    assert attempt.read_exit_code() is None and attempt.tail() == []
