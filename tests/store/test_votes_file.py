"""votes.jsonl: what is read of it, and two writers at once."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from automate_train.store.votes import Vote, append_vote, read_all, read_votes, vote_of

GOOD = Vote("00000000000000aa", 1.5, "ec65ff37/2/0/-", "0c65ff37/2/0/0.8", "left")


def test_a_vote_comes_back(tmp_path: Path):
    append_vote(tmp_path / "votes.jsonl", GOOD)
    assert read_votes(tmp_path / "votes.jsonl") == [GOOD]


def test_one_that_was_taken_back_stays_taken_back(tmp_path: Path):
    """Another tab, which does not know that yet, may send it again."""
    file = tmp_path / "votes.jsonl"
    for choice in ("left", "undone", "left"):
        append_vote(file, GOOD._replace(choice=choice))
    append_vote(file, GOOD._replace(id="b" * 16))
    append_vote(file, GOOD._replace(id="b" * 16, choice="right"))
    assert [(vote.id[0], vote.choice) for vote in read_votes(file)] == [("b", "left")]
    assert [vote.choice for vote in read_all(file)] == ["undone", "left"]


@pytest.mark.parametrize("field", GOOD._fields)
@pytest.mark.parametrize("value", [None, 3, "", "x", [], {}, True, float("inf"), 1e30, "../../etc/passwd", "a" * 5000])
def test_what_is_no_vote_is_none(field: str, value: object):
    if not (field == "at" and value == 3):
        assert vote_of({**GOOD._asdict(), field: value}) is None
    assert vote_of({**GOOD._asdict(), "more": value}) == GOOD


def test_lines_that_are_no_votes_are_skipped(tmp_path: Path):
    file = tmp_path / "votes.jsonl"
    line = json.dumps(GOOD._asdict())
    file.write_bytes(b"\xff\n[]\n3\n{\n" + b"[" * 9000 + b"\n\n" + line.encode() + b"\n" + line.encode()[:30])
    append_vote(file, GOOD._replace(id="c" * 16))
    assert [vote.id[-1] for vote in read_votes(file)] == ["a", "c"]
    assert read_votes(tmp_path) == read_votes(tmp_path / "none") == []


def test_several_writers_lose_nothing(tmp_path: Path):
    file = tmp_path / "votes.jsonl"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda at: append_vote(file, GOOD._replace(id=f"{at:016x}")), range(200)))
    assert len(read_votes(file)) == 200
