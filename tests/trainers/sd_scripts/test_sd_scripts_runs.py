"""What is prepared runs: the tiny trainer for real, through accelerate or not; upstream read."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from sd_scripts_kit import attempt_of, make_runs

from automate_train.records import SweepContext
from automate_train.store.launch import write_attempt
from automate_train.trainers import safetensors_file, sd_scripts
from automate_train.trainers.sd_scripts.console import progress
from automate_train.training import latents_cache
from automate_train.training.delivery import deliver

PICTURES = Path(__file__).parents[3] / "configs" / "quickstart" / "images"
REAL = os.environ.get("SD_SCRIPTS_DIR", "")


@pytest.fixture
def start(tmp_path):
    """Prepare and run: (the attempt's folder, exit code, launch)."""

    def run(keys, *, cpu=True, **env):
        base = {"repo_dir": "tiny", "images_folder": str(PICTURES), "resolution": 32, "epoch_num": 1, "network_dim": 2}
        (run,) = make_runs({"unet_lr": 1e-3, **keys}, base)
        context = SweepContext(str(tmp_path / "out"), "p", cores=2, cpu=cpu)
        assert [problem for problem in sd_scripts.problems(run, context) if problem.severity == "error"] == []
        folder = attempt_of(run, context)
        shutil.rmtree(folder.path, ignore_errors=True)
        launch = sd_scripts.prepare(run, folder, context)
        write_attempt(folder, launch)
        for cache in launch.caches:
            latents_cache.link(cache)
        with folder.console.open("wb") as console:
            done = subprocess.run(
                launch.argv, cwd=launch.cwd, env={**os.environ, **launch.env, **env}, stdout=console, stderr=console
            )
        return folder, done.returncode, launch

    return run


@pytest.mark.slow
def test_the_tiny_trainer_through_accelerate(start, tmp_path):
    keys = {"target_path": str(tmp_path / "loras"), "cache_latents_to_disk": True, "training_comment": "mine"}
    folder, code, launch = start(keys)
    assert sd_scripts.verdict(folder, code).kind == "succeeded", folder.tail()
    found = safetensors_file.read(folder.output / "p.safetensors")
    assert found.metadata["ss_training_comment"].startswith("mine automate-train key=")
    assert found.metadata["ss_steps"] == found.metadata["ss_max_train_steps"] == "20"
    assert len(list(Path(launch.caches[0].path).glob("*.npz"))) == 20 and not list(PICTURES.glob("*.npz"))
    assert deliver(folder, launch.keep) == (str(tmp_path / "loras/p.safetensors"), str(tmp_path / "loras/p.toml"))
    assert '"kind": "end"' in folder.events.read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_tiny_trainer_by_plain_python_without_the_hook(start):
    folder, code, _ = start({"launcher": "python", "hook": False})
    assert sd_scripts.verdict(folder, code).kind == "succeeded", folder.tail()
    step, total, loss = progress(folder.console.read_text(encoding="utf-8"))
    assert (step, total) == (20, 20) and 0 < loss < 10
    assert not folder.events.exists()


@pytest.mark.slow
def test_a_saved_accelerate_config_changes_nothing(start, tmp_path):
    saved = tmp_path / "hf" / "accelerate" / "default_config.yaml"
    saved.parent.mkdir(parents=True)
    saved.write_text(
        "compute_environment: LOCAL_MACHINE\ndistributed_type: MULTI_GPU\ngpu_ids: 5,6\nnum_processes: 2\n"
        "num_machines: 1\nmixed_precision: fp16\nuse_cpu: false\ndebug: false\n",
        encoding="utf-8",
    )
    folder, code, launch = start({}, cpu=False, HF_HOME=str(tmp_path / "hf"), CUDA_VISIBLE_DEVICES="")
    assert "--cpu" not in launch.argv and launch.gpus == 1
    assert sd_scripts.verdict(folder, code).kind == "succeeded", folder.tail()


@pytest.mark.slow
def test_what_the_trainer_calls_a_success_need_not_be_one(start):
    folder, code, _ = start({"unet_lr": 1e30, "launcher": "python", "hook": False})
    outcome = sd_scripts.verdict(folder, code)
    assert (code, outcome.kind) == (0, "failed") and "hold NaN or infinity" in outcome.reason
    folder, code, _ = start({"unet_lr": 1e30, "launcher": "python"})
    outcome = sd_scripts.verdict(folder, code)
    assert (code, outcome.kind) == (0, "failed") and "of the last checkpoint hold " in outcome.reason


@pytest.mark.real
@pytest.mark.skipif(not REAL, reason="SD_SCRIPTS_DIR names no sd-scripts")
@pytest.mark.parametrize("family", ["", "sdxl", "sd3", "flux", "lumina", "anima", "hunyuan_image"])
def test_upstreams_scripts_are_understood(family, tmp_path):
    context = SweepContext(str(tmp_path / "out"), "p", cores=2)
    keys = {"repo_dir": REAL, "model_type": family, "model_file": "org/name", "images_folder": str(PICTURES)}
    rest = {"unet_lr": 1e-4, "text_encoder_lr": 5e-5, "lora_type": "LoRA", "network_dim": 8, "resolution": 512}
    (run,) = make_runs({**keys, **rest, "lr_scheduler": "cosine", "lr_warmup_ratio": 0.1, "optimizer": "AdamW"})
    found = [problem for problem in sd_scripts.problems(run, context._replace()) if "package" not in problem.message]
    assert found == []
    training = sd_scripts.prepare(run, attempt_of(run, context), context).files["training.toml"]
    own = f"networks.lora_{family}" if family not in ("", "sdxl") else "networks.lora"
    assert f'network_module = "{own}"' in training and "lr_warmup_steps = 0.1" in training
