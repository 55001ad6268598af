"""The real kohya-ss/sd-scripts, unchanged, on a model of random weights: opt-in.

SD_SCRIPTS_DIR: a checkout; SD_MODEL_DIR: a folder with `model/` (diffusers) and `tokenizers/`; SD_VENV: its virtual
environment (else the running Python). Takes about a minute a run on a CPU.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

PICTURES = Path(__file__).parents[3] / "configs/quickstart/images"

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,
    pytest.mark.skipif(
        "SD_SCRIPTS_DIR" not in os.environ or "SD_MODEL_DIR" not in os.environ,
        reason="SD_SCRIPTS_DIR and SD_MODEL_DIR name no sd-scripts and model",
    ),
]


def test_a_sweep_of_two_points_succeeds(automate_train, tmp_path: Path):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for file in sorted(PICTURES.iterdir())[:4]:
        (pictures / file.name).symlink_to(file)
    model = Path(os.environ["SD_MODEL_DIR"])
    default = {
        "project_name_base": "real",
        "repo_dir": os.environ["SD_SCRIPTS_DIR"],
        "model_file": str(model / "model"),
        "tokenizer_cache_dir": str(model / "tokenizers"),
        "images_folder": "pictures",
        "num_repeats": 1,
        "resolution": 64,
        "enable_bucket": False,
        "lora_type": "LoRA",
        "network_alpha": 2,
        "epoch_num": 1,
        "optimizer": "AdamW",
        "unet_lr": 1e-4,
        "mixed_precision": "no",
        "seed": 1,
        "target_path": "loras",
        "temp_dir": "out",
        "network_dim_list": [2, 4],
    }
    (tmp_path / "default.json").write_text(json.dumps(default))
    venv = [f"--venv_path={os.environ['SD_VENV']}"] if "SD_VENV" in os.environ else []
    flags = ["--default_config_path", "default.json", "--cpu", *venv]
    done = automate_train(*flags, seconds=900, HF_HUB_OFFLINE="1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(list((tmp_path / "loras").glob("*.safetensors"))) == 2
    runs = json.loads(automate_train("status", "out", "--json").stdout)["runs"]
    assert all(run["state"] == "succeeded" and run["step"] for run in runs)
