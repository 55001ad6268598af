"""Files of an attempt: written once, tailed while they grow."""

from __future__ import annotations

from pathlib import Path

import pytest

from automate_train.store.layout import AttemptFolder


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
