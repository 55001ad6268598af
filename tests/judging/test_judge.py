"""The judge on hand-made sweeps with a fake model: what it measures, once; what it says of what it cannot."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import pytest
from judge_kit import Sweep, safetensors, wait_for

from automate_train.judging import measurer, session


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    return Sweep(tmp_path / "home")


def test_every_checkpoint_and_the_base(sweep: Sweep):
    first = sweep.run(0.5, 0.25)
    code, said = sweep.judge()
    assert code == 0 and "judged 2 of 2 checkpoints" in said, said
    scores = sweep.scores()
    assert [(each.epoch, each.step, each.item, each.score) for each in scores] == [
        (None, None, "00.png", 1.0), (None, None, "01.png", 2.0),
        (1, 10, "00.png", 0.5), (1, 10, "01.png", 1.5),
        (2, 20, "00.png", 0.25), (2, 20, "01.png", 1.25),
    ]  # fmt: skip
    assert {each.run_key for each in scores} == {"", f"{0:016x}"}
    assert scores[2].checkpoint == f"{first.path.parent.name}/attempt-1/output/x-000001.safetensors"
    assert len({each.measure for each in scores}) == 1 and scores[0].measure.startswith("held-out-")
    counts = json.loads(sweep.folder.judge_counts.read_text())
    assert counts["judged"] == counts["checkpoints"] == 2


def test_what_has_a_score_is_not_measured_again(sweep: Sweep):
    sweep.run(0.5)
    assert sweep.judge()[0] == 0
    before = sweep.folder.scores.read_bytes()
    assert sweep.judge() == (0, "judged 1 of 1 checkpoint\n")
    assert sweep.folder.scores.read_bytes() == before and len(sweep.loads()) == 1
    sweep.run(0.25)
    assert sweep.judge()[0] == 0
    assert len(sweep.scores()) == 6 and len(sweep.lines()) == 6


def test_a_hundred_checkpoints_are_one_load_of_the_base(sweep: Sweep):
    for _ in range(10):
        sweep.run(*[0.5] * 10)
    assert sweep.judge()[0] == 0
    assert len(sweep.loads()) == 1 and len(sweep.lines()) == 202


def test_a_moved_sweep_keeps_its_scores(sweep: Sweep):
    sweep.run(0.5)
    assert sweep.judge()[0] == 0
    sweep.journal.close()
    moved = sweep.folder.path.rename(sweep.home / "moved")
    sweep.folder = type(sweep.folder)(moved.parent, moved.name)
    assert sweep.judge()[0] == 0 and len(sweep.loads()) == 1


def test_a_broken_checkpoint_is_said_and_tried_when_it_is_whole(sweep: Sweep):
    whole = safetensors(0.5)
    attempt = sweep.run(0.25, whole[:-3], b"", b"\0" * 100)
    code, said = sweep.judge()
    assert code == 1 and "judged 1 of 4" in said and said.count("is cut off") == 1 and said.count("header") == 2, said
    assert len(sweep.scores()) == 4
    (attempt.output / "x-000002.safetensors").write_bytes(whole)
    code, said = sweep.judge()
    assert code == 1 and "judged 2 of 4" in said and len(sweep.lines()) == 6


@pytest.mark.parametrize(
    ("error", "words"), [(13, "exit code 7"), (14, "does not fit"), ("nan", "not a finite number")]
)
def test_one_that_cannot_be_measured_does_not_stop_the_others(sweep: Sweep, error: object, words: str):
    sweep.run(0.5, error, 0.25)
    code, said = sweep.judge()
    assert code == 1 and words in said and "judged 2 of 3 checkpoints" in said, said
    assert {each.epoch for each in sweep.scores()} == {None, 1, 3}


def test_a_deleted_checkpoint_is_said_and_not_waited_for(sweep: Sweep):
    attempt = sweep.run(0.5, 0.25)
    (attempt.output / "x-000001.safetensors").unlink()
    code, said = sweep.judge()
    assert code == 0 and "1 checkpoint was deleted before it could be judged" in said
    assert "judged 1 of 1 checkpoint" in said


def test_a_python_that_is_gone(sweep: Sweep):
    sweep.run(0.5, python=str(sweep.home / "venv/bin/python"))
    sweep.run(0.5)
    code, said = sweep.judge()
    assert code == 1 and "the trainer's Python" in said and "is gone" in said
    assert {each.run_key for each in sweep.scores()} == {"", f"{1:016x}"}


def test_a_python_that_is_broken(sweep: Sweep):
    broken = sweep.home / "python"
    broken.write_text("#!/bin/sh\necho no module named torch >&2\nexit 3\n")
    broken.chmod(0o755)
    sweep.run(0.5, 0.25, python=str(broken))
    code, said = sweep.judge()
    assert code == 1 and "exit code 3" in said and "no module named torch" in said and "judged 0 of 2" in said, said
    assert said.count("exit code 3") == 1


def test_a_held_out_picture_that_is_gone_or_changed(sweep: Sweep):
    sweep.run(0.5)
    sweep.pictures[0].unlink()
    code, said = sweep.judge()
    assert code == 0 and "00.png cannot be read" in said and "judged 1 of 1" in said
    assert {each.item for each in sweep.scores()} == {"01.png"}
    sweep.pictures[1].write_bytes(b"another")
    code, said = sweep.judge()
    assert code == 2 and "none of the held-out pictures is left" in said


def test_as_many_threads_as_a_training_has(sweep: Sweep):
    """Trainings may run beside; and the first run's number for all, for sums of floats depend on it."""
    sweep.run(0.5, threads=3)
    sweep.run(0.5, threads=5)
    assert sweep.judge("--cpu", OMP_NUM_THREADS="7")[0] == 0 and (sweep.trainer / "threads").read_text() == "3"


def test_a_program_that_hangs(sweep: Sweep, monkeypatch: pytest.MonkeyPatch):
    sweep.run(0.5, 0.25)
    monkeypatch.setattr(measurer, "SILENT_SECONDS", 3.0)
    monkeypatch.setenv("FAKE_SECONDS", "1000")
    said: list[str] = []
    assert session.run(sweep.folder, cpu=True, say=said.append) == 1
    assert "has said nothing for" in "".join(said) and said[-2] == "judged 0 of 2 checkpoints"
    assert not any(Path(f"/proc/{pid}").exists() for pid in sweep.loads())


def test_a_score_that_cannot_be_read_back_is_measured_once(sweep: Sweep):
    sweep.run(0.5)
    sweep.folder.scores.symlink_to("/dev/null")
    code, said = sweep.judge(seconds=60)
    assert code in (1, 2) and "Traceback" not in said and "judged 2" not in said


def test_a_picture_that_the_program_leaves_out(sweep: Sweep):
    sweep.run(16)
    code, said = sweep.judge(seconds=60)
    assert code == 1 and "has left out 01.png" in said and len(sweep.loads()) == 1, said


def test_the_caption_of_the_choice_is_what_is_measured_with(sweep: Sweep):
    sweep.captions = ["a boat", "a house"]
    sweep.hold_out()
    sweep.run(0.5)
    assert sweep.judge()[0] == 0 and (sweep.trainer / "captions").read_text() == "a boat|a house"
    first = sweep.scores()[0].measure
    (sweep.home / "01.txt").write_text("a castle")
    sweep.run(0.5)
    code, said = sweep.judge()
    assert code == 0 and "01.txt is not what it was" in said and "the old caption" in said, said
    assert (sweep.trainer / "captions").read_text() == "a boat|a house"
    assert {each.measure for each in sweep.scores()} == {first}
    sweep.captions = ["a boat", "a castle"]
    sweep.hold_out()
    assert sweep.judge()[0] == 0 and {each.measure for each in sweep.scores()} > {first}


def test_a_sweep_without_held_out_pictures(sweep: Sweep):
    sweep.folder.held_out.unlink()
    code, said = sweep.judge()
    assert code == 2 and "no held-out pictures" in said and '"held_out": 4' in said


def test_runs_that_differ_in_the_base_have_different_measures(sweep: Sweep):
    for skip in (1, 2):
        sweep.run(0.5, clip_skip=skip)
    code, said = sweep.judge()
    assert code == 0 and "clip_skip 1" in said and "clip_skip 2" in said and "not compared" in said
    assert len({each.measure for each in sweep.scores()}) == 2 and len(sweep.loads()) == 2
    assert [each.checkpoint for each in sweep.scores()].count("") == 4, "each measure has its own zero line"
    assert "clip_skip 1" in sweep.judge()[1], "also when nothing is left to measure"


def test_two_judges_of_one_sweep(sweep: Sweep):
    sweep.run(*[0.5] * 3)
    first = sweep.start(FAKE_SECONDS="0.3")
    wait_for(lambda: sweep.folder.scores.exists())
    code, said = sweep.judge()
    assert code == 2 and str(first.pid) in said
    assert first.communicate(timeout=60) and first.returncode == 0 and len(sweep.lines()) == 8


@pytest.mark.parametrize("signal_", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_what_was_started_ends_with_the_judge(sweep: Sweep, signal_: int):
    sweep.run(*[0.5] * 20)
    process = sweep.start(FAKE_SECONDS="0.2")
    wait_for(lambda: sweep.folder.scores.exists())
    process.send_signal(signal_)
    said = process.communicate(timeout=60)[0]
    assert process.returncode == (-9 if signal_ == signal.SIGKILL else 130) and "Traceback" not in said
    (pid,) = sweep.loads()
    wait_for(lambda: not Path(f"/proc/{pid}").exists())
    assert sweep.judge()[0] == 0
    assert len(sweep.lines()) == len(set(sweep.lines())) == 42


def test_following_a_sweep(sweep: Sweep):
    """News by lines, the end by the end of the input."""
    sweep.run(0.5)
    process = sweep.start("--follow")
    wait_for(lambda: len(sweep.scores()) == 4)
    sweep.run(0.25)
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    wait_for(lambda: len(sweep.scores()) == 6)
    assert process.communicate(timeout=60)[0].endswith("judged 2 of 2 checkpoints\n") and process.returncode == 0
    assert len(sweep.loads()) == 1, "the base stays loaded between two checkpoints"


def test_a_full_disk_is_said(sweep: Sweep):
    sweep.run(0.5)
    sweep.folder.scores.mkdir()
    code, said = sweep.judge()
    assert code == 2 and "scores.jsonl" in said and "Traceback" not in said


def test_nothing_hostile_in_measure_json(sweep: Sweep):
    """What an earlier session left in the folder is written anew."""
    sweep.run(0.5)
    assert sweep.judge()[0] == 0
    (file,) = sweep.folder.measure.glob("*/measure.json")
    file.write_text("{}")
    sweep.run(0.5)
    assert sweep.judge()[0] == 0
    shutil.rmtree(sweep.folder.measure)
    sweep.run(0.5)
    assert sweep.judge()[0] == 0 and os.listdir(sweep.folder.measure)
