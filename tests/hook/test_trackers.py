"""The hook's trackers without the real packages: which pictures are found, who wins, faults, what it costs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import textwrap
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from trackers_kit import PACKAGE, Attempt, run

ACCELERATE = """
    from types import SimpleNamespace

    class Tracker:
        name = "mine"
        def start(self): print("started")
        def store_init_configuration(self, values): print("config", sorted(values))
        def log(self, values, step=None): raise OSError("no space left")
        def finish(self): raise RuntimeError("cannot be closed")

    class Accelerator:
        is_main_process = True
        def __init__(self, *log_with):
            self.log_with, self.trackers = list(log_with), []
            self.project_configuration = SimpleNamespace(logging_dir="users")
        def init_trackers(self, project_name, config=None, init_kwargs=None):
            for tracker in self.log_with:
                if isinstance(tracker, str): import wandb; wandb.init(project=project_name)
                self.trackers.append(tracker)
                tracker.start()
                if config is not None: tracker.store_init_configuration(config)
        def log(self, values, step=None):
            for tracker in self.trackers: tracker.log(values, step=step)
        def end_training(self):
            for tracker in self.trackers: tracker.finish()
"""


@pytest.fixture
def attempt(tmp_path: Path) -> Attempt:
    attempt = Attempt(tmp_path)
    package = tmp_path / "repo" / "accelerate"
    package.mkdir(parents=True)
    (package / "accelerator.py").write_text(textwrap.dedent(ACCELERATE))
    (package / "__init__.py").write_text("from .accelerator import Accelerator, Tracker")
    return attempt


def train(attempt: Attempt, script: str) -> subprocess.CompletedProcess[str]:
    file = attempt.root / "repo" / "train.py"
    file.write_text(textwrap.dedent(script))
    return run(attempt.command(file))


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The hook's modules by name."""
    monkeypatch.syspath_prepend(str(PACKAGE / "hook"))

    def module(name: str) -> ModuleType:
        return __import__(name)

    return module


# --- pictures on the disk


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("lora_e000002_00_20260101120000.png", ("sample/00", 20, 2)),
        ("lora_e000002_11_20260101120000_42.png", ("sample/11", 20, 2)),
        ("lora_000150_01_20260101120000_-1.png", ("sample/01", 150, None)),
        ("e000001_00_20260101120000.png", ("sample/00", 10, 1)),
        ("my_e000009_00_lora_000007_03_20260101120000.png", ("sample/03", 7, None)),
        ("lora-000001_00.png", None),  # a WebUI's, without its commit mark
        ("holiday.png", None),
        ("lora_e000002_00_20260101120000.jpg", None),
    ],
)
def test_the_trainers_own_pictures(attempt: Attempt, hook: Any, name: str, expected: Any) -> None:
    folder = hook("hook_find_images").SampleFolder(str(attempt.path), None)
    attempt.picture(name[:-4], 1)
    (attempt.output / "sample" / f"{name[:-4]}.json").unlink()
    (attempt.output / "sample" / f"{name[:-4]}.png").rename(attempt.output / "sample" / name)
    found = [(p.tag, p.step, p.epoch) for p in folder.complete((), lambda epoch: epoch * 10)]
    assert found == ([] if expected is None else [expected])


def test_pictures_of_a_webui_count_when_they_are_done(attempt: Attempt, hook: Any) -> None:
    attempt.picture("lora_01", 30, "last", epoch=3)
    attempt.picture("lora-000001_01_w0.6", 10, "weaker")
    attempt.picture("lora-000001_02_w1_p0a1b", 10, "of another prompt file")
    attempt.picture("lora-000001_00", 10, "first")
    for number, state in enumerate(("failed", "wrong checkpoint", "base model only")):
        attempt.picture(f"lora-000002_{number:02d}", 20, state=state)
    attempt.picture("lora-000003_00", 30)
    (attempt.output / "sample" / "lora-000003_00.json").write_text('{"state": "do')
    attempt.picture("lora-000003_01", 30)
    png = attempt.output / "sample" / "lora-000003_01.png"
    png.write_bytes(png.read_bytes()[:-5])
    folder = hook("hook_find_images").SampleFolder(str(attempt.path), str(attempt.output))
    found = folder.complete((), int)
    assert [(p.path, p.tag, p.caption, p.step, p.epoch, p.own) for p in found] == [
        ("output/sample/lora-000001_00.png", "sample/00", "first", 10, 1, False),
        ("output/sample/lora-000001_01_w0.6.png", "sample/01_w0.6", "weaker", 10, 1, False),
        ("output/sample/lora-000001_02_w1_p0a1b.png", "sample/02_w1_p0a1b", "of another prompt file", 10, 1, False),
        ("output/sample/lora_01.png", "sample/01", "last", 30, 3, False),
    ]
    assert [p.tag for p in folder.complete({found[0].path, *(each.path for each in found[2:])}, int)] == [
        "sample/01_w0.6"
    ]


def test_a_folder_that_does_not_change_is_not_read(attempt: Attempt, hook: Any) -> None:
    folder = hook("hook_find_images").SampleFolder(str(attempt.path), None)
    assert not folder.changed()
    attempt.picture("lora_00", 1)
    assert folder.changed() and folder.changed()  # so young that it may change within the clock's tick
    os.utime(folder.path, (1, 1))
    assert folder.changed() and not folder.changed()
    attempt.picture("lora_01", 1)
    assert folder.changed()


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("p.txt", "a boy --d 1 --w 64\n\n# no\n  a girl \n", ["a boy", "a girl"]),
        ("p.json", '["a boy --d 1", {"prompt": "a girl"}]', ["a boy", "a girl"]),
        ("p.json", '{"broken', []),
        ("p.toml", "prompt = 'x'", []),
    ],
)
def test_captions_are_the_prompts(tmp_path: Path, hook: Any, name: str, text: str, expected: list[str]) -> None:
    (tmp_path / name).write_text(text)
    assert hook("hook_find_images").read_prompts(str(tmp_path / name)) == expected
    assert hook("hook_find_images").read_prompts(str(tmp_path / "missing.txt")) == []


# --- what a tracker is opened with


def test_the_users_own_options_win(hook: Any) -> None:
    kinds = hook("hook_trackers").KINDS
    wanted = {"name": "n", "project": "p", "group": "g", "tags": ["t"], "home": "/logs", "folder": "/logs/g/n-1"}
    assert kinds["tensorboard"].arguments(wanted, {"flush_secs": 9}) == ("n-1", "/logs/g", {"flush_secs": 9})
    assert kinds["aim"].arguments(wanted, {})[:2] == ("n", "/logs")
    mine = {"repo": "/mine", "name": "m", "experiment": "e", "capture_terminal_logs": True}
    assert kinds["aim"].arguments(wanted, mine) == ("m", "/mine", {"experiment": "e", "capture_terminal_logs": True})
    ours = {"name": "n", "group": "g", "dir": "/logs", "tags": ["t"]}
    assert kinds["wandb"].arguments(wanted, {}) == ("p", "/logs", ours)
    mine = {"project": "q", "group": None, "entity": "me", "dir": "/mine"}
    expected = {"name": "n", "group": None, "dir": "/mine", "tags": ["t"], "entity": "me"}
    assert kinds["wandb"].arguments(wanted, mine)[::2] == ("q", expected)


# --- faults


def test_a_tracker_that_raises_is_an_event_once(attempt: Attempt) -> None:
    ran = train(
        attempt,
        """
        from accelerate import Accelerator, Tracker
        a = Accelerator(Tracker())
        a.init_trackers("p", config={"own": 1})
        for step in range(5): a.log({"loss": 0.5}, step=step)
        a.end_training()
        print(a.project_configuration.logging_dir)
    """,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    config = ["flip_aug", "network_args", "nothing", "own", "unet_lr"]
    assert ran.stdout.splitlines() == ["started", f"config {config}", "users"]
    troubles = [(event["where"], event["error"]) for event in attempt.of("trouble")]
    assert troubles == [
        ("tracker mine: log", "OSError: no space left"),
        ("tracker mine: finish", "RuntimeError: cannot be closed"),
    ]
    assert attempt.of("metrics")[0]["loss"] == 0.5


@pytest.mark.parametrize(("log_with", "code"), [("wandb", 0), ("aim", 1)])
def test_a_package_that_cannot_be_imported_fails_when_it_is_opened(attempt: Attempt, log_with: str, code: int) -> None:
    """sd-scripts imports W&B long before it opens it. Without the wish for W&B nothing of it is touched."""
    attempt.settings(**{"with": log_with})
    (attempt.root / "repo" / "wandb.py").write_text("raise TypeError('built for another protobuf')")
    ran = train(
        attempt,
        """
        import wandb
        wandb.login(key="x")
        from accelerate import Accelerator
        a = Accelerator("wandb")
        a.init_trackers("p")
        print([t.name for t in a.trackers])
    """,
    )
    assert ran.returncode == code
    if code == 0:
        assert ran.stdout == "['automate_train']\n"
        troubles = [(event["where"], event["error"]) for event in attempt.of("trouble")]
        assert troubles == [("tracker wandb", "TypeError: built for another protobuf")]


def test_a_broken_part_of_the_hook_leaves_the_trackers_to_the_trainer(attempt: Attempt) -> None:
    (attempt.path / "hook" / "hook_trackers.py").write_text("1 +* 2")
    ran = train(attempt, "from accelerate import *\na = Accelerator(Tracker())\na.init_trackers('p')")
    assert (ran.returncode, ran.stdout) == (0, "started\n")
    assert [event["where"] for event in attempt.of("trouble")] == ["trackers"]


# --- what it costs


def test_a_look_costs_a_stat(attempt: Attempt, hook: Any) -> None:
    attempt.picture("lora_00", 1)
    folder = hook("hook_find_images").SampleFolder(str(attempt.path), None)
    os.utime(folder.path, (1, 1))
    folder.changed()
    start = time.perf_counter()
    for _ in range(1000):
        assert not folder.changed()
    assert (time.perf_counter() - start) / 1000 < 1e-4  # every 5 s


def test_baselines_of_the_runs_own_prompts_are_its_pictures_at_step_0(attempt: Attempt, hook: Any) -> None:
    attempt.picture("lora_00", 8)
    sweep, own = attempt.path.parents[1], attempt.output / "sample" / "lora_00.json"
    (sweep / "baseline").mkdir()
    for name, digest in (("00_ours", "d1"), ("00_theirs", "d2")):
        shutil.copy(own.with_suffix(".png"), sweep / "baseline" / f"{name}.png")
        about = {"state": "done", "text": "a cat", "prompt": 0, "step": None, "prompt_digest": digest}
        (sweep / "baseline" / f"{name}.json").write_text(json.dumps(about))
    folder = hook("hook_find_images").SampleFolder(str(attempt.path), str(attempt.output))
    assert len(folder.complete((), int)) == 1, "whose they are is not known"
    own.write_text(json.dumps({**json.loads(own.read_text()), "prompt_digest": "d1"}))
    found = folder.complete((), int)
    baseline, *others = found
    assert (baseline.tag, baseline.step, baseline.caption) == ("sample/00_baseline", 0, "a cat")
    assert len(others) == 1 and folder.complete([baseline.path], int) == others


def test_the_steps_of_a_resumed_training(hook: Any) -> None:
    """The trainer counts a resumed training's steps from the first epoch that it trains, epochs from the beginning."""
    whole_steps = hook("hook_live_trackers").whole_steps
    assert whole_steps(10, {"loss/current": 0.5, "global_step": 3}, 3) == (
        ({"loss/current": 0.5, "global_step": 13},),
        {"step": 13},
    )
    assert whole_steps(10, {"loss/epoch_average": 0.5}, step=2) == (({"loss/epoch_average": 0.5},), {"step": 2})
