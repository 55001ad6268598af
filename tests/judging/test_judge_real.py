"""The real kohya-ss/sd-scripts measures the checkpoints of a real sweep: opt-in, some minutes a run on a CPU.

SD_SCRIPTS_DIR: a checkout; SD_MODEL_DIR: a folder with `model/` (diffusers) and `tokenizers/`; SDXL_MODEL_DIR: the same
of an SDXL, with `model.safetensors`; SD_VENV: the trainer's virtual environment (else the running Python).
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from judge_kit import Sweep
from sd_scripts_kit import NEEDS_SD_SCRIPTS

from automate_train.store.layout import SweepFolder
from automate_train.store.scores import read_scores

PICTURES = sorted((Path(__file__).parents[2] / "configs/quickstart/images").glob("*.png"))[:4]

pytestmark = NEEDS_SD_SCRIPTS


def test_two_settings_with_two_seeds(automate_train, tmp_path: Path):
    """Trained, then judged: every checkpoint once, the base once, copies of a checkpoint equal to the bit."""
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for file in PICTURES[:2]:
        (pictures / file.name).symlink_to(file)
    model = Path(os.environ["SD_MODEL_DIR"])
    default: dict[str, Any] = {
        "project_name_base": "real", "repo_dir": os.environ["SD_SCRIPTS_DIR"], "model_file": str(model / "model"),
        "tokenizer_cache_dir": str(model / "tokenizers"), "images_folder": "pictures", "num_repeats": 1,
        "resolution": 64, "enable_bucket": False, "lora_type": "LoRA", "network_dim": 4, "network_alpha": 4,
        "epoch_num": 1, "optimizer": "AdamW", "mixed_precision": "no", "target_path": "loras", "temp_dir": "out",
        "unet_lr_list": [1e-4, 1e-2], "seed_list": [1, 2],
    }  # fmt: skip
    (tmp_path / "default.json").write_text(json.dumps(default))
    venv = [f"--venv_path={os.environ['SD_VENV']}"] if "SD_VENV" in os.environ else []
    done = automate_train("--default_config_path", "default.json", "--cpu", *venv, seconds=3600, HF_HUB_OFFLINE="1")
    assert done.returncode == 0, done.stdout + done.stderr
    folder = SweepFolder(tmp_path / "out", "real")
    kit = Sweep(tmp_path / "kit")
    kit.pictures = PICTURES[2:]
    kit.folder = folder
    kit.hold_out()
    said = automate_train("judge", "out", seconds=3600, HF_HUB_OFFLINE="1")
    assert said.returncode == 0 and "judged 4 of 4 checkpoints" in said.stdout, said.stdout + said.stderr
    scores = read_scores(folder)
    assert len(scores) == 5 * 2 and len({each.measure for each in scores}) == 1
    assert len({each.score for each in scores}) == 10, "every LoRA changes every picture's error"
    assert all(abs(each.score - base.score) < 0.5 for each in scores for base in scores[:2] if each.item == base.item)
    first, second = sorted({each.checkpoint for each in scores if each.checkpoint})[:2]
    shutil.copyfile(folder.path / first, folder.path / second)
    kept = [each for each in scores if each.checkpoint != second]
    folder.scores.write_text("".join(json.dumps(each._asdict()) + "\n" for each in kept))
    assert automate_train("judge", "out", seconds=3600, HF_HUB_OFFLINE="1").returncode == 0
    again = read_scores(folder)
    assert [e.score for e in again if e.checkpoint == first] == [e.score for e in again if e.checkpoint == second]


@pytest.mark.skipif("SDXL_MODEL_DIR" not in os.environ, reason="SDXL_MODEL_DIR names no SDXL model")
def test_sdxl(tmp_path: Path):
    """The base alone: its load and its error."""
    model, scripts = Path(os.environ["SDXL_MODEL_DIR"]), Path(os.environ["SD_SCRIPTS_DIR"])
    sweep = Sweep(tmp_path / "home")
    sweep.pictures = PICTURES[2:]
    sweep.hold_out()
    venv = os.environ.get("SD_VENV")
    sweep.run(
        0.5, script=scripts / "sdxl_train_network.py", python=f"{venv}/bin/python" if venv else sys.executable,
        pretrained_model_name_or_path=str(model / "model.safetensors"), mixed_precision="bf16",
        tokenizer_cache_dir=str(model / "tokenizers"),
    )  # fmt: skip
    code, said = sweep.judge(seconds=3600, HF_HUB_OFFLINE="1")
    assert code == 1 and "its weights do not fit the base model" in said
    scores = sweep.scores()
    assert [each.checkpoint for each in scores] == ["", ""] and all(0 < each.score < 100 for each in scores)
