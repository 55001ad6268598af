"""Alarms in the report: planted ones are in the page with their picture, what is known is not looked at again."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
from browser_kit import Browser
from picture_kit import copied, draw, saved
from report_kit import Sweep
from safetensors.numpy import save_file

from automate_train.report.alarms import find_alarms
from automate_train.report.sweep_data import read_sweep


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    """Two runs of two epochs. Run 1's second epoch: one picture is a copy, and the weights did nothing."""
    made = Sweep(tmp_path, unet_lr=["1e-4", "1e-2"])
    training = tmp_path / "training"
    training.mkdir()
    for seed in range(5):
        saved(draw(seed), training / f"{seed}.png")
    for run in made.runs():
        attempt = made.begin(run, epochs=2, prompts=["a boat", "a cat"])
        (attempt / "dataset.toml").write_text(f'[[datasets]]\n[[datasets.subsets]]\nimage_dir = "{training}"\n')
        for at, png in enumerate(sorted(attempt.glob("output/sample/*.png"))):
            png.unlink()
            saved(draw(100 + 10 * run.index + at, 128), png)
        for name, size in (("x-000001", 1.0), ("x", 1.0 if run.index == 0 else 0.0)):
            weights = np.random.default_rng(1).normal(size=(16, 32)).astype(np.float32) / 10
            tensors = {"lora_unet_down_blocks_0_q.lora_down.weight": weights,
                       "lora_unet_down_blocks_0_q.lora_up.weight": weights.T.copy() * size}  # fmt: skip
            save_file(tensors, attempt / "output" / f"{name}.safetensors")
    saved(copied(draw(3), random.Random(2)), next(made.path.glob("001-*/attempt-1/output/sample/x-000002_01.png")))
    return made


def found(sweep: Sweep, seconds: float = 60.0) -> tuple[list[tuple[int, int | None, str]], int]:
    alarms = find_alarms(sweep.folder, read_sweep(sweep.folder), seconds)
    return [(each.run, each.checkpoint, each.alarm.kind) for each in alarms.found], alarms.left


def test_what_is_planted_is_found_once_and_then_known(sweep: Sweep, monkeypatch: pytest.MonkeyPatch):
    planted = [(1, None, "nothing changed"), (1, 2, "copy")]
    assert found(sweep, 0.0) == ([], 8)
    assert found(sweep) == (planted, 0)
    monkeypatch.setattr("automate_train.report.alarms.picture_alarms", None)
    monkeypatch.setattr("automate_train.report.alarms.weight_alarms", None)
    assert found(sweep) == (planted, 0), "nothing is looked at again"
    monkeypatch.undo()
    (copy,) = sweep.path.glob("001-*/attempt-1/output/sample/x-000002_01.png")
    saved(draw(999), copy)
    assert found(sweep) == (planted[:1], 0), "but what has changed"
    (sweep.path.parent / "training" / "0.png").unlink()
    assert found(sweep, 0.0) == (planted[:1], 4), "a picture's alarm is about these training pictures"


@pytest.mark.parametrize("text", ["", "[]", '{"version": 1, "found": []}', '{"version": 1, "found": {"x": 3}}', "{"])
def test_a_file_that_is_not_ours_is_made_anew(sweep: Sweep, text: str):
    found(sweep)
    right = json.loads(sweep.folder.alarms.read_text())
    bad = [
        text,
        json.dumps(
            {**right, "found": {key: {**each, "alarms": [[1, 2, 3, 4]]} for key, each in right["found"].items()}}
        ),
    ]
    for each in bad:
        sweep.folder.alarms.write_text(each)
        assert len(found(sweep)[0]) == 2 and json.loads(sweep.folder.alarms.read_text()) == right


def test_datasets_and_files_that_cannot_be_read(sweep: Sweep):
    for at, attempt in enumerate(sorted(sweep.path.glob("*/attempt-1"))):
        (attempt / "dataset.toml").write_text(["not toml [", "datasets = 3"][at])
        (attempt / "output" / "x.safetensors").write_bytes(b"half")
    assert found(sweep) == ([], 0)


def test_the_page_shows_each_with_its_picture(browser: Browser, sweep: Sweep):
    page = sweep.build().path
    browser.open(page)
    assert browser.text("#alarms summary") == "2 alarms"
    browser.click("#alarms summary")
    lines = browser.texts("#alarms li")
    assert "Copy" in lines[0] and "unet_lr=1e-2, epoch 2: copies the training picture 3.png" in lines[0]
    assert "the finished LoRA: 1 of 1 blocks changed next to nothing: lora_unet_down_blocks_0 (gain 0)" in lines[1]
    assert browser.attributes("#alarms a", "href") == ["../training/3.png"]
    browser.click("#alarms .cell")
    browser.until(lambda: "epoch 2" in (browser.texts("#viewer h2") or [""])[0])
    browser.key("ESCAPE")
    browser.js("location.hash = '#tab=vote'")
    browser.until(lambda: browser.texts("#alarms summary") == [])
