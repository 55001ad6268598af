"""held_out.json: what is written is read, and what anybody else has written into it is no choice."""

from __future__ import annotations

import json

import pytest

from automate_train.store.held_out import HeldOut, HeldOutPicture, read_held_out, write_held_out
from automate_train.store.layout import SweepFolder

PICTURE = HeldOutPicture("/data/10_boat/7.png", "/data/10_boat", "7.png", "ab" * 32, "/data/10_boat/7.txt", "chosen")
COPY = PICTURE._replace(path="/data/10_boat/8.png", name="8.png", caption="", why="near-duplicate of 7.png")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "p").mkdir()
    return SweepFolder(tmp_path, "p")


@pytest.mark.parametrize("request_", [4, 0.1, "/data/others"])
def test_what_is_written_is_read(folder, request_):
    assert read_held_out(folder) is None
    held_out = HeldOut(request_, 20, "0123abcd", (PICTURE, COPY), "ef")
    write_held_out(folder, held_out)
    assert read_held_out(folder) == held_out and held_out.chosen == (PICTURE,)


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2}, {"request": None}, {"request": True}, {"of": -1}, {"digest": 3}, {"pictures": None},
        {"pictures": [3]}, {"pictures": [{"path": "/a"}]}, {"pictures": [{**PICTURE._asdict(), "sha256": 3}]},
    ],
)  # fmt: skip
def test_another_content_is_no_choice(folder, change):
    write_held_out(folder, HeldOut(4, 20, "0123abcd", (PICTURE,)))
    folder.held_out.write_text(json.dumps({**json.loads(folder.held_out.read_text()), **change}))
    assert read_held_out(folder) is None
