"""Preflight of one run: models, environments, odd values; quick for hundreds of runs; never a traceback."""

from __future__ import annotations

import os
import string
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sd_scripts_kit import Bench, attempt_of, safetensors

from automate_train.config.key_sets import DATASET, OURS, TRANSLATED, canonical
from automate_train.errors import Problem, UserError
from automate_train.preflight import checks
from automate_train.records import Setting, Source
from automate_train.trainers import safetensors_file, sd_scripts
from automate_train.trainers.script_options import reader
from automate_train.trainers.sd_scripts import argument_names, image_files


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def test_nothing_is_wrong_with_a_plain_run(bench):
    assert bench.problems({"unet_lr": 1e-4, "network_dim": 8, "network_alpha": 8}) == []


def write(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return str(path)


def test_models(bench, tmp_path):
    whole = safetensors({"w": ("F16", b"\0" * 10)})
    (tmp_path / "diffusers").mkdir()
    (tmp_path / "diffusers" / "model_index.json").touch()
    (tmp_path / "folder").mkdir()
    good = [
        "runwayml/stable-diffusion-v1-5",
        write(tmp_path / "a.ckpt", b"x"),
        write(tmp_path / "b.safetensors", whole),
        str(tmp_path / "diffusers"),
    ]
    for model in good:
        assert bench.errors({"model_file": model}) == [], model
    bad = {
        "no/such/file.safetensors": "there is no file or folder 'no/such/file.safetensors'",
        "model.ckpt": "there is no file or folder",
        "org/model.ckpt": "there is no file or folder",
        "/nowhere/at all": "there is no file or folder",
        write(tmp_path / "c.safetensors", whole[:-3]): "is cut off: ",
        write(tmp_path / "d.safetensors", whole[:20]): "is cut off within its header",
        write(tmp_path / "e.safetensors", b"<html>not found</html>"): "has no safetensors header",
        write(tmp_path / "f.safetensors", b""): "has no safetensors header",
        write(tmp_path / "g.ckpt", b""): "is empty",
        str(tmp_path / "folder"): "is not a diffusers folder: it has no model_index.json",
    }
    for model, says in bad.items():
        assert any(
            text.startswith("error model_file: ") and says in text for text in bench.errors({"model_file": model})
        )
    assert "model_file: is not given" in str(bench.errors({"model_file": None}))
    assert "vae: there is no file" in str(bench.errors({"vae": "/no/vae.pt"}))
    assert "network_weights: there is no file" in str(bench.errors({"network_weights": "a/b"}))


def test_legal_oddities_only_warn(bench):
    found = bench.problems(
        {"network_dim": 4, "network_alpha": 8, "clip_skip": 3, "text_encoder_lr": 1e-3, "unet_lr": 1e-4}
    )
    assert [text.split(" (")[0] for text in found] == [
        "warning network_alpha: network_alpha 8 is larger than network_dim 4",
        "warning clip_skip: clip_skip 3 is neither 1 nor 2",
        "warning text_encoder_lr: text_encoder_lr 0.001 is larger than unet_lr 0.0001",
    ]


def test_fp16_needs_a_gpu(bench):
    bench.context = bench.context._replace(cpu=True)
    assert "set mixed_precision to no or bf16" in str(bench.errors({"precision_type": "fp16"}))
    assert bench.errors({"precision_type": "bf16"}) == []


def test_venvs(bench, tmp_path):
    assert f"venv_path: there is no {tmp_path}/none/bin/python" in str(
        bench.errors({"venv_path": str(tmp_path / "none")})
    )
    python = tmp_path / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    assert f"venv_path: {python} does not start" in str(bench.errors({"venv_path": str(tmp_path / "venv")}))


def test_packages_are_looked_for_in_the_trainers_python(bench, tmp_path):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "venv")], check=True)
    (context,) = (tmp_path / "venv" / "lib").glob("*/site-packages")
    for name in ("torch", "accelerate", "safetensors", "toml"):
        (context / f"{name}.py").write_text("raise SystemExit('imported')", encoding="utf-8")
    keys = {"venv_path": str(tmp_path / "venv"), "wandb_api_key": "0123"}
    assert bench.errors(keys) == []
    found = bench.errors({**keys, "log_with": "wandb", "lora_type": "LoHa Lycoris", "optimizer": "AdamW8bit"})
    python = tmp_path / "venv" / "bin" / "python"
    assert found == [
        f"error log_with: {python} has no package wandb, which log_with wandb needs ({python} -m pip install wandb)",
        f"error lora_type: {python} has no package lycoris, which network_module lycoris.kohya needs "
        f"({python} -m pip install lycoris-lora)",
        f"error optimizer: {python} has no package bitsandbytes, which optimizer adamw8bit needs "
        f"({python} -m pip install bitsandbytes)",
    ]
    (context / "torch.py").unlink()
    (tmp_path / "venv2").symlink_to(tmp_path / "venv")  # asked once a path: another path, asked again
    assert "has no package torch" in str(bench.errors({"venv_path": str(tmp_path / "venv2")}))


def test_prompts(bench, tmp_path):
    assert "prompt_path" in str(bench.errors({"prompt_path": str(tmp_path / "none.txt")}))
    (tmp_path / "p.json").write_text("[{", encoding="utf-8")
    assert "prompt_path" in str(bench.errors({"prompt_path": str(tmp_path / "p.json")}))


def test_hundreds_of_runs_read_nothing_twice(bench, monkeypatch):
    """Neither the script, nor a folder, nor a picture's bytes, nor a model: all runs look at the same ones."""
    runs = bench.runs({"unet_lr_list": [i * 1e-6 for i in range(1, 21)], "network_dim_list": list(range(1, 16))})
    assert len(runs) == 300
    sd_scripts.problems(runs[0], bench.context)

    def refuse(*args):
        raise AssertionError(f"read again: {args}")

    monkeypatch.setattr(reader, "read", refuse)
    monkeypatch.setattr(image_files, "listing_now", refuse)
    monkeypatch.setattr(image_files, "_broken", refuse)
    monkeypatch.setattr(safetensors_file, "read", refuse)
    monkeypatch.setattr(argument_names, "_text", refuse)
    monkeypatch.setattr(subprocess, "run", refuse)
    for run in runs:
        assert [problem for problem in sd_scripts.problems(run, bench.context) if problem.severity == "error"] == []


KEYS = sorted(
    {*OURS, *DATASET, *TRANSLATED, "custom_dataset", "dataset_config", "train_data_dir", "reg_data_dir", "in_json"}
    | {"pretrained_model_name_or_path", "vae", "network_module", "network_args", "optimizer_args", "optimizer_type"}
    | {
        "learning_rate",
        "unet_lr",
        "text_encoder_lr",
        "lr_scheduler",
        "lr_warmup_steps",
        "lr_warmup_ratio",
        "output_name",
    }
    | {"min_snr_gamma", "mixed_precision", "max_train_epochs", "max_train_steps", "train_batch_size", "seed"}
    | {"sample_prompts", "output_dir", "training_comment", "cache_latents_to_disk", "huggingface_token", "clip_skip"}
    | {"network_dim", "network_alpha", "save_model_as", "gor_regularization", "enable_hypertile", "unknown_key"}
)
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20),
    st.sampled_from([10**400, -1, 0, 0.0, "", "None", "true", "1,2", "[1,2", "/", ".", "~", "a\0b", "\ud800", "~\0",
                     "x" * 5000, "../..", "/dev/null", "1e999", "nan", "adamw", "LoCon", "a=b", "=", "{0}", "'\"\\x"]),
)  # fmt: skip
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(string.ascii_letters), inner, max_size=2),
)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return Bench(tmp_path_factory.mktemp("fuzz"))


@settings(max_examples=300)
@given(changes=st.dictionaries(st.sampled_from(KEYS), VALUES, min_size=1, max_size=4))
def test_no_value_of_any_key_gives_a_traceback(shared, changes):
    run = shared.run({})
    options = dict(run.options)
    for key, value in changes.items():
        options[canonical(key)] = Setting(value, Source("tuning file", "t.json"), key)
    run = with_options(run, options)
    found = list(checks.of_run(run, shared.context))
    assert all(isinstance(problem, Problem) for problem in found)
    assert "\n" not in "".join(str(problem) for problem in found if "\n" not in str(changes))
    try:
        launch = sd_scripts.prepare(run, attempt_of(run, shared.context), shared.context)
    except (UserError, OSError):  # the scheduler takes both for a run that could not be started
        assert [problem for problem in found if problem.severity == "error"]
        return
    assert all("\0" not in part for part in launch.argv) or [p for p in found if p.severity == "error"]
    sd_scripts.disk_bytes(run, shared.context)


def with_options(run, options):
    """The same run with other options: what a sweep makes of them is not asked here."""
    from types import SimpleNamespace

    names = ("index", "number", "key", "name", "slug", "varied")
    return SimpleNamespace(options=options, **{name: getattr(run, name) for name in names})


def test_the_users_environment_is_left_alone(bench):
    before = dict(os.environ)
    bench.problems({})
    bench.prepare({})
    assert dict(os.environ) == before
