"""Folders and free space, before a sweep."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from automate_train.config.layers import Layer, built_in, merge
from automate_train.preflight import disk
from automate_train.records import Run, Source, SweepContext
from automate_train.sweep.product import expand


@pytest.fixture
def sized(monkeypatch):
    """Runs of a trainer that says how many bytes each takes, in temp_dir and in target_path."""

    def make(target: object, in_temp: float, in_target: float, count: int = 2, **more: object) -> list[Run]:
        trainer = SimpleNamespace(disk_bytes=lambda run, context: (in_temp, in_target))
        monkeypatch.setattr(disk, "load", lambda name: trainer)
        values = {"project_name_base": "p", "target_path": target, "n_list": list(range(count)), **more}
        points = expand(merge([built_in(), Layer(Source("tuning file", "t.json"), values)])[0])
        return [point for point in points if isinstance(point, Run)]

    return make


def found(runs: list[Run], temp_dir: Path, share: float = 1.0) -> list[str]:
    return [str(problem) for problem in disk.problems(runs, SweepContext(str(temp_dir), "p"), share)]


def test_room_is_summed_over_the_runs_and_the_folders_of_one_disk(sized, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_bavail=100, f_frsize=10**8))
    assert found(sized(str(tmp_path / "loras"), 3e9, 2e9), tmp_path / "out") == []
    [text] = found(sized(str(tmp_path / "loras"), 3e9, 2e9, count=3), tmp_path / "out")
    assert "will take about 15.0 GB, and 10.0 GB are free (free some room" in text
    assert len(found(sized(None, 1e9, 0), tmp_path / "out", share=6)) == 1, "each run stands for six"


def test_small_sizes_are_not_called_zero(sized, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_bavail=3, f_frsize=10**5))
    [text] = found(sized(None, 4e6, 0), tmp_path / "out")
    assert "will take about 8.0 MB, and 0.3 MB are free" in text


def test_the_trainers_own_output_dir_is_looked_at_too(sized, tmp_path):
    [text] = found(sized(None, 0, 1, output_dir="/proc/self/loras"), tmp_path / "out")
    assert "output_dir: nothing can be written into /proc/self: " in text
    assert found(sized(str(tmp_path), 0, 1, output_dir="/proc/self/loras"), tmp_path / "out") == []


def test_folders_that_cannot_be_used(sized, tmp_path):
    (tmp_path / "file").write_text("")
    [text] = found(sized(str(tmp_path / "file" / "loras"), 0, 1), tmp_path / "out")
    assert "target_path: " in text and ("Not a directory" in text or "is not a folder" in text)
    [text] = found(sized(None, 0, 1), tmp_path / "file" / "out")
    assert "temp_dir: " in text
    [text] = found(sized("/proc/self/loras", 0, 1), tmp_path / "out")
    assert "target_path: nothing can be written into /proc/self: " in text
    assert found(sized("", 0, 1), tmp_path / "is" / "made") == []
    assert not (tmp_path / "is").exists(), "nothing is created"


def test_of_very_many_runs_some_are_asked_and_all_are_summed(sized, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_bavail=1, f_frsize=1))
    runs = sized(None, 1e9, 0, count=3000)
    asked: list[Run] = []
    monkeypatch.setattr(disk, "load", lambda name: SimpleNamespace(
        disk_bytes=lambda run, context: (asked.append(run), (1e9, 0))[1]))  # fmt: skip
    [text] = found(runs, tmp_path / "out")
    assert "will take about 3000.0 GB" in text and 200 < len(asked) <= 512
