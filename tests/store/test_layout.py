"""Files of an attempt: written once, tailed while they grow, delivered whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from automate_train.records import Cache, Launch
from automate_train.store.launch import read_launch, write_attempt
from automate_train.store.layout import AttemptFolder, is_filled, mark, mark_filled


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


def test_the_tail_shows_bars_in_their_last_state(tmp_path: Path):
    folder = AttemptFolder(tmp_path)
    folder.console.write_bytes(
        "a\nsteps: 0%\rsteps: 50%\rsteps: 99%\nb \xff\n\n".encode("utf-8", "replace") + b"\xff\n"
    )
    assert folder.tail(3) == ["steps: 99%", "b ÿ", "\ufffd"]
    assert AttemptFolder(tmp_path / "gone").tail() == []


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


@pytest.mark.parametrize("content", [b"", b"0", b"\xff\n", "²\n".encode(), b"0x1\n", b"1" * 5000 + b"\n", b"-1\n"])
def test_what_is_no_exit_code_is_none(tmp_path: Path, content: bytes):
    (tmp_path / "exit_code").write_bytes(content)
    assert AttemptFolder(tmp_path).read_exit_code() is None
