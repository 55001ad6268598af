"""Pictures that come after the training's end, without the real packages: what is left to do, and when nothing is."""

from __future__ import annotations

import fcntl
import json
from pathlib import Path
from typing import Any

import pytest
from trackers_kit import PACKAGE, Attempt


@pytest.fixture
def attempt(tmp_path: Path) -> Attempt:
    return Attempt(tmp_path)


def told(attempt: Attempt, *events: dict[str, Any], end: str = "\n") -> None:
    (attempt.path / "events.jsonl").write_text("\n".join(json.dumps({"at": 1.0, **event}) for event in events) + end)


def broken_packages(folder: Path) -> str:
    """Whoever imports a tracker is found out."""
    for name in ("tensorboard", "aim", "wandb", "torch"):
        (folder / f"{name}.py").write_text(f"raise RuntimeError('{name} was imported')")
    return str(folder)


def test_with_nothing_to_do_no_tracker_is_imported(attempt: Attempt) -> None:
    path = broken_packages(attempt.root)
    assert attempt.late(PYTHONPATH=path) == "no images to log: there are no trackers"
    runs = [{"kind": "tracker", "name": name, "run": "r", "where": "w"} for name in ("aim", "wandb")]
    told(attempt, *runs)
    assert attempt.late(PYTHONPATH=path) == "no images to log"
    attempt.picture("lora_00", 1)
    attempt.picture("lora_01", 1, state="failed")
    done = [{"kind": "picture", "path": "output/sample/lora_00.png", "trackers": [name]} for name in ("aim", "wandb")]
    metrics = [{"kind": "metrics", "step": step, "epoch": 1, "loss": 0.5, "lr": {"unet": 1e-4}} for step in range(9999)]
    told(attempt, *runs, *metrics, *done)
    assert attempt.late(PYTHONPATH=path) == "no images to log"
    told(attempt, *runs, done[1])
    assert attempt.late(PYTHONPATH=path) == "images logged: none in aim: RuntimeError: aim was imported"


def test_what_cannot_be_logged_is_an_event_and_tried_again(attempt: Attempt) -> None:
    path = broken_packages(attempt.root)
    attempt.picture("lora_00", 1)
    told(attempt, {"kind": "tracker", "name": "wandb", "run": "r", "where": "w"}, end='\n{"kind": "pict')
    for _ in range(2):
        assert attempt.late(PYTHONPATH=path) == "images logged: none in wandb: RuntimeError: wandb was imported"
    lines = (attempt.path / "events.jsonl").read_text().splitlines()
    assert lines[1] == '{"kind": "pict' and [json.loads(line)["kind"] for line in lines[2:]] == ["trouble"] * 2


def test_a_running_training_logs_its_pictures_itself(attempt: Attempt) -> None:
    attempt.picture("lora_00", 1)
    told(attempt, {"kind": "tracker", "name": "wandb", "run": "r", "where": "w"})
    with open(attempt.path / "events.jsonl") as training:
        fcntl.flock(training, fcntl.LOCK_EX)
        said = attempt.late(PYTHONPATH=broken_packages(attempt.root))
    assert said == "no images logged: the training is still running, or another process logs them"


@pytest.mark.parametrize("text", ["{", '{"trackers": null}'])
def test_settings_that_cannot_be_read_are_said(attempt: Attempt, text: str) -> None:
    (attempt.path / "hook.json").write_text(text)
    assert attempt.late().startswith(("no images logged: JSONDecodeError", "no images to log: there are no"))


def test_the_steps_of_epochs(attempt: Attempt, monkeypatch: pytest.MonkeyPatch) -> None:
    """Told by a checkpoint or at the epoch's end; else the epochs are taken for equal."""
    told(
        attempt,
        {"kind": "training", "total_steps": 40, "epochs": 4},
        {"kind": "checkpoint", "which": "epoch", "step": 11, "epoch": 1},
        {"kind": "checkpoint", "which": "step", "step": 15, "epoch": 1},
        {"kind": "metrics", "step": 21, "epoch": 2, "other": {"loss/epoch_average": 0.5}},
        {"kind": "metrics", "step": 22, "epoch": 3},
    )
    monkeypatch.syspath_prepend(str(PACKAGE / "hook"))
    import hook_backfill_images

    training = hook_backfill_images.TrainingEvents(str(attempt.path / "events.jsonl"))
    assert [training.progress.step_of(epoch) for epoch in (1, 2, 3, 4, 5)] == [11, 21, 30, 40, 40]
