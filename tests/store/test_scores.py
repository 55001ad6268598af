"""scores.jsonl: what is appended is read back, whatever else stands in the file; scores that a program reports."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from automate_train.records import Launch, RunRecord, Score
from automate_train.store.launch import write_attempt
from automate_train.store.layout import SweepFolder
from automate_train.store.scores import append_score, read_scores

BASE = Score("", "", None, None, "held-out-0a1b2c3d", "boat.png", 0.25)
LORA = Score("k" * 16, "000-x/attempt-1/output/x-000002.safetensors", 2, 40, "held-out-0a1b2c3d", "배.png", 0.125)


@pytest.fixture
def sweep(tmp_path: Path) -> SweepFolder:
    (tmp_path / "sweep").mkdir()
    return SweepFolder(tmp_path, "sweep")


def test_no_scores_yet(sweep: SweepFolder) -> None:
    assert read_scores(sweep) == []


def test_what_is_appended_is_read(sweep: SweepFolder) -> None:
    for score in (BASE, LORA):
        append_score(sweep, score)
    assert read_scores(sweep) == [BASE, LORA]
    line = json.loads(sweep.scores.read_text().splitlines()[0])
    assert list(line) == ["run_key", "checkpoint", "epoch", "step", "measure", "item", "score"]


def test_the_first_of_two_counts(sweep: SweepFolder) -> None:
    append_score(sweep, LORA)
    append_score(sweep, LORA._replace(score=9.0))
    append_score(sweep, LORA._replace(score=9.0, measure="another"))
    assert read_scores(sweep) == [LORA, LORA._replace(score=9.0, measure="another")]


@pytest.mark.parametrize("bad", [
    b"", b"no json", b"[]", b"null", b"1", b'{"score": 1}', b"\xff\xfe", b"[" * 100_000,
    *(json.dumps({**LORA._asdict(), **wrong}).encode() for wrong in (
        {"score": float("nan")}, {"score": float("inf")}, {"score": "0.1"}, {"score": True}, {"score": 10**400},
        {"item": None}, {"item": ["x"]}, {"run_key": 3}, {"checkpoint": {}}, {"measure": ""}, {"item": "\ud800"},
    )),
])  # fmt: skip
def test_a_line_that_is_no_score_is_skipped(sweep: SweepFolder, bad: bytes) -> None:
    append_score(sweep, BASE)
    with sweep.scores.open("ab") as file:
        file.write(bad + b"\n")
    append_score(sweep, LORA)
    assert read_scores(sweep) == [BASE, LORA]


@pytest.mark.parametrize("epoch", [-1, 1.5, "2", True, 10**30])
def test_a_place_that_is_no_number_is_unknown(sweep: SweepFolder, epoch: object) -> None:
    sweep.scores.write_text(json.dumps({**LORA._asdict(), "epoch": epoch, "step": epoch}) + "\n")
    assert read_scores(sweep) == [LORA._replace(epoch=None, step=None)]


def test_every_cut_of_the_last_line_leaves_the_others(sweep: SweepFolder) -> None:
    append_score(sweep, BASE)
    first = sweep.scores.stat().st_size
    append_score(sweep, LORA)
    whole = sweep.scores.read_bytes()
    for size in range(first, len(whole) - 1):
        sweep.scores.write_bytes(whole[:size])
        assert read_scores(sweep) == [BASE]
        append_score(sweep, LORA)
        assert read_scores(sweep) == [BASE, LORA]


def test_two_writers_do_not_mix_their_lines(sweep: SweepFolder) -> None:
    def write(name: str) -> None:
        for index in range(200):
            append_score(sweep, LORA._replace(item=f"{name}{index}"))

    writers = [threading.Thread(target=write, args=(name,)) for name in "ab"]
    for each in writers:
        each.start()
    for each in writers:
        each.join()
    assert len(read_scores(sweep)) == 400


def test_a_link_is_not_written_through(sweep: SweepFolder, tmp_path: Path) -> None:
    sweep.scores.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="scores"):
        append_score(sweep, BASE)


RUN = RunRecord("0123456789abcdef", 0, 0, "lr=1", "lr-1", {"lr": "1"}, {})


def test_a_programs_own_scores_come_with_run_and_epoch(sweep: SweepFolder) -> None:
    attempt = sweep.attempt("000-lr-1/attempt-1")
    write_attempt(attempt, Launch(("true",), "/"), RUN)
    saved = {"at": 1.0, "kind": "checkpoint", "path": str(attempt.output / "a.bin"), "epoch": 3, "step": 30}
    attempt.events.write_text(json.dumps(saved) + "\n")
    lines = [
        {"checkpoint": str(attempt.output / "a.bin"), "item": "clip", "score": 0.5},
        {"checkpoint": "output/b-000004.safetensors", "item": "clip", "score": 1},
        {"checkpoint": "output/c.bin", "item": "clip", "score": 2, "epoch": 7},
        {"checkpoint": "/elsewhere/d.bin", "item": "clip", "score": 3},
        {"checkpoint": "", "item": "clip", "score": 4},
        {"checkpoint": 5, "item": "clip", "score": 4},
    ]
    attempt.scores.write_text("".join(json.dumps(line) + "\n" for line in lines))
    inside = "000-lr-1/attempt-1/output"
    assert read_scores(sweep) == [
        Score(RUN.key, f"{inside}/a.bin", 3, 30, "reported", "clip", 0.5),
        Score(RUN.key, f"{inside}/b-000004.safetensors", 4, None, "reported", "clip", 1.0),
        Score(RUN.key, f"{inside}/c.bin", 7, None, "reported", "clip", 2.0),
        Score(RUN.key, "/elsewhere/d.bin", None, None, "reported", "clip", 3.0),
        Score("", "", None, None, "reported", "clip", 4.0),
    ]
    moved = sweep.path.rename(sweep.path.with_name("moved"))
    assert read_scores(SweepFolder(moved.parent, moved.name))[0].epoch == 3
