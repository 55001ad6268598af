"""What `held_out` asks for, what is kept of an earlier start, and everything that is wrong with it."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from picture_kit import draw, saved

from automate_train.config.layers import Layer, built_in, merge
from automate_train.preflight import held_out
from automate_train.records import Attempt, Outcome, RunRecord, Source, SweepContext
from automate_train.store.held_out import read_held_out
from automate_train.store.layout import SweepFolder
from automate_train.sweep.product import expand


@dataclass
class Sweep:
    here: Path
    records: tuple[RunRecord, ...] = ()

    @property
    def folder(self) -> SweepFolder:
        return SweepFolder(self.here, "p")

    def find(self, value: Any, **keys: Any) -> held_out.Found:
        given = {"project_name_base": "p", "trainer": "command", "command": ["/bin/echo", "{images_folder}"],
                 "images_folder": str(self.here / "a"), "held_out": value, **keys}  # fmt: skip
        settings, problems = merge([built_in(), Layer(Source("default file", "d.json"), given)])
        assert problems == []
        return held_out.find(expand(settings), settings, SweepContext(str(self.here), "p"), self.records)

    def start(self, value: Any, **keys: Any) -> held_out.Found:
        found = self.find(value, **keys)
        held_out.keep(self.folder, found.held_out, self.records)
        return found

    def train(self, kind: Any = "succeeded", **metrics: Any) -> None:
        attempt = Attempt(1, "k", 1, "000-r/attempt-1", (), "", 0.0, 1.0, Outcome(kind), metrics)
        self.records = (RunRecord("k", 0, 0, "r", "r", {}, {}, (attempt,)),)


@pytest.fixture
def sweep(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "p").mkdir()
    for seed in range(8):
        saved(draw(seed, 64), tmp_path / "a" / f"{seed}.png")
    return Sweep(tmp_path)


@pytest.mark.parametrize("value", [None, "", "None"])
def test_off_is_said(sweep, value):
    found = sweep.start(value)
    assert found == held_out.Found() and found.lines == (held_out.OFF,) and '"held_out": 4' in held_out.OFF
    assert not sweep.folder.held_out.exists()


@pytest.mark.parametrize(("value", "count"), [(2, 2), ("2", 2), (2.0, 2), (0.25, 2), ("0.25", 2), (0.01, 1)])
def test_numbers_and_shares(sweep, value, count):
    found = sweep.find(value)
    assert found.problems == () and len(found.paths) == count
    assert found.lines == (f"held out: {count} of 8 pictures, which no run sees",)
    assert not sweep.folder.held_out.exists()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "needs a number of pictures like 4, a share like 0.1, or a folder of other pictures, not true"),
        ([4], "or a folder of other pictures, not [4]"),
        (0, "or a folder of other pictures, not 0"),
        (-1, "or a folder of other pictures, not -1"),
        (2.5, "or a folder of other pictures, not 2.5"),
        (8, "8 of 8 pictures are to be held out: none would be left to train on"),
        (100, "100 of 8 pictures are to be held out"),
        (0.99, "8 of 8 pictures"),
        ("none", "there is no folder"),
        ("p", "contains no pictures"),
    ],
)
def test_what_is_wrong_is_one_sentence_with_its_place(sweep, monkeypatch, value, text):
    monkeypatch.chdir(sweep.here)
    found = sweep.find(value)
    (problem,) = found.problems
    assert text in problem.message and str(problem).startswith("default file d.json: held_out: ")
    assert found.held_out is None and found.lines == ()


def test_it_is_no_axis(automate_train, sweep_files):
    flags = sweep_files(["true"], held_out_list=[2, 4])
    done = automate_train(*flags, "--dry-run")
    assert done.returncode == 2 and "held_out_list" in done.stderr and "whole sweep" in done.stderr


def test_pictures_that_nobody_can_keep_from_the_runs(sweep):
    (problem,) = sweep.find(2, command=["/bin/echo"]).problems
    assert str(problem).startswith("default file d.json: held_out: needs images_folder, and {images_folder} in")
    (problem,) = sweep.find(2, images_folder=str(sweep.here / "p")).problems
    assert "the runs have no pictures that could be held out" in problem.message


def test_libraries_that_lack(sweep, monkeypatch):
    monkeypatch.setattr(held_out.importlib.util, "find_spec", lambda name: None)
    (problem,) = sweep.find(2).problems
    assert "needs numpy and Pillow" in problem.message and problem.hint == "pip install numpy Pillow"


def test_a_start_keeps_the_choice_and_pictures_that_come_later_change_nothing(sweep):
    first = sweep.start(2).held_out
    assert read_held_out(sweep.folder) == first
    for seed in range(20, 40):
        saved(draw(seed, 64), sweep.here / "a" / f"{seed}.png")
    again = sweep.start(2).held_out
    assert again.pictures == first.pictures and again.of == 8
    Path(first.pictures[0].path).unlink()
    (problem,) = sweep.find(2).problems
    assert problem.severity == "warning" and "is gone: nothing can be measured on it" in problem.message


def test_before_any_run_has_trained_it_may_change(sweep):
    sweep.start(2)
    sweep.train("failed")
    assert len(sweep.start(3).held_out.pictures) == 3
    sweep.start(None)
    assert not sweep.folder.held_out.exists()


@pytest.mark.parametrize("how", [("succeeded", {}), ("cancelled", {}), ("failed", {"steps": 3})])
def test_after_a_run_has_trained_another_value_is_refused(sweep, how):
    sweep.start(2)
    sweep.train(how[0], **how[1])
    assert sweep.find(2).problems == ()
    for value in (3, 0.25, None):
        (problem,) = sweep.find(value).problems
        assert "have been trained with held_out 2" in problem.message and "set it to 2 again" in problem.hint
    sweep.folder.held_out.write_text("{")
    (problem,) = sweep.find(2).problems
    assert "cannot be read" in problem.message and problem.source == str(sweep.folder.held_out)
    sweep.folder.held_out.unlink()
    (problem,) = sweep.find(2).problems
    assert "no held_out.json says what they have not seen" in problem.message
    assert sweep.find(None).problems == ()


def test_another_command_that_was_quicker_is_not_overwritten(sweep):
    mine = sweep.find(3)
    sweep.start(2)
    sweep.train()
    with pytest.raises(held_out.UserError, match="another command has trained runs of this sweep meanwhile"):
        held_out.keep(sweep.folder, mine.held_out, sweep.records)
    assert len(read_held_out(sweep.folder).pictures) == 2


def test_numpy_is_imported_for_it_alone(sweep, automate_train, sweep_files):
    code = "import sys, automate_train.cli.main, automate_train.pipeline; print({'numpy', 'PIL'} & set(sys.modules))"
    import subprocess

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "set()\n", done.stderr
