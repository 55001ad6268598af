"""The real kohya-ss/sd-scripts, unchanged, on a model of random weights: opt-in.

SD_SCRIPTS_DIR: a checkout; SD_MODEL_DIR: a folder with `model/` (diffusers) and `tokenizers/`; SD_VENV: its virtual
environment (else the running Python). Takes about a minute a run on a CPU.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from sd_scripts_kit import NEEDS_SD_SCRIPTS

from automate_train.config.key_sets import BY_NAME
from automate_train.trainers.loss_meaning import CHANGES_LOSS
from automate_train.trainers.script_options.reader import accepted

PICTURES = Path(__file__).parents[3] / "configs/quickstart/images"

pytestmark = NEEDS_SD_SCRIPTS


def test_every_key_that_changes_the_loss_is_one_that_a_script_or_a_config_knows():
    """A key that is written wrong in the table protects nobody."""
    scripts = Path(os.environ["SD_SCRIPTS_DIR"]).glob("*train*.py")
    known = {name for script in scripts if "setup_parser" in script.read_text() for name in accepted(script)}
    assert CHANGES_LOSS - known - BY_NAME.keys() == set()


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
    assert all(run["state"] == "succeeded" and run["step"] and isinstance(run["epoch_loss"], float) for run in runs)
