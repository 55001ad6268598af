"""A run that is killed in the middle goes on from its last whole state: the tiny trainer, by the command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
import toml

from automate_train.executors.local import Local
from automate_train.trainers import safetensors_file

PICTURES = Path(__file__).parents[2] / "configs/quickstart/images"
EPOCHS, STEPS = 24, 4
"""Of the run; of an epoch."""


@pytest.fixture
def kill_at(tmp_path):
    """Start the sweep, kill the trainer's whole group once the attempt has saved the state called `name`."""
    started: list[subprocess.Popen[bytes]] = []
    (tmp_path / "pictures").mkdir()
    for file in sorted(PICTURES.iterdir())[: 2 * STEPS]:  # each with its caption
        (tmp_path / "pictures" / file.name).symlink_to(file)

    def run(attempt: int, name: str) -> None:
        files = f"out/p/000-p/attempt-{attempt}"
        process = subprocess.Popen(command(tmp_path), cwd=tmp_path, stdout=subprocess.DEVNULL)
        started.append(process)
        deadline = time.monotonic() + 300
        while not is_saved(tmp_path / files / f"output/p-{name}-state"):
            assert time.monotonic() < deadline and process.poll() is None, "it has not come as far as this state"
            time.sleep(0.005)
        (handle,) = Local().living(tmp_path / "out/p").values()
        os.killpg(int(handle.split()[0]), signal.SIGKILL)
        assert process.wait(120) == 1

    yield run
    for process in started:
        process.kill()
        process.wait()


def is_saved(state: Path) -> bool:
    """Whether all of a state is there: a kill while its last file is written leaves the state before it."""
    try:
        told = json.loads((state / "train_state.json").read_text())
        return bool(told) and zipfile.is_zipfile(state / "random_states_0.pkl")
    except (OSError, ValueError):
        return False


def command(folder: Path) -> list[str]:
    default = {
        "project_name_base": "p", "temp_dir": "out", "repo_dir": "tiny", "images_folder": "pictures", "resolution": 32,
        "epoch_num": EPOCHS, "network_dim": 2, "unet_lr": 1e-3, "seed": 1, "save_state": True, "launcher": "python",
    }  # fmt: skip
    (folder / "default.json").write_text(json.dumps(default))
    return [sys.executable, "-m", "automate_train", "--default_config_path", "default.json", "--cpu", "1"]


def attempt(folder: Path, number: int) -> tuple[dict[str, object], str]:
    """What its trainer was told, and its console."""
    path = folder / f"out/p/000-p/attempt-{number}"
    return toml.loads((path / "training.toml").read_text()), (path / "console.log").read_text()


@pytest.mark.slow
def test_killed_twice_and_trained_to_the_end_once(kill_at, tmp_path):
    kill_at(1, "000003")
    kill_at(2, "000010")
    done = subprocess.run(command(tmp_path), cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    begun = [attempt(tmp_path, number)[0].get("initial_step") for number in (1, 2, 3)]
    assert begun[0] is None and begun[1] >= 3 * STEPS and begun[2] >= 10 * STEPS
    for number, step in enumerate(begun[1:], 2):
        told, console = attempt(tmp_path, number)
        epoch = step // STEPS
        assert Path(told["resume"]).parent.parent.name == f"attempt-{number - 1}", "the newest state"
        assert f"\nepoch {epoch}/{EPOCHS}\n" not in console and f"\nepoch {epoch + 1}/{EPOCHS}\n" in console
    metadata = safetensors_file.read(tmp_path / "out/p/000-p/attempt-3/output/p.safetensors").metadata
    told = {key: metadata[key] for key in ("ss_steps", "ss_epoch", "ss_max_train_steps", "ss_num_epochs")}
    all_steps = str(EPOCHS * STEPS)
    assert told == {
        "ss_steps": all_steps, "ss_epoch": str(EPOCHS), "ss_max_train_steps": all_steps, "ss_num_epochs": str(EPOCHS),
    }  # fmt: skip
