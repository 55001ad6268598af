"""Where results go and under which names: trackers, secrets, checkpoints, target_path, disk space."""

from __future__ import annotations

import json

import pytest
import toml
from sd_scripts_kit import Bench, attempt_of, safetensors

from automate_train.trainers import sd_scripts


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def test_each_attempt_logs_into_a_folder_of_its_own(bench):
    options = bench.training({"log_with": "tensorboard"})
    assert options["log_with"] == "tensorboard" and options["log_tracker_name"] == "p"
    assert options["logging_dir"] == f"{bench.context.temp_dir}/_logs/p/000-p-1"
    assert options["wandb_run_name"] == "p"
    assert bench.training({"log_with": "aim", "log_tracker_name": "x"})["log_tracker_name"] == "x"
    off = bench.training({"log_with": "None", "logging_dir": "/logs", "log_tracker_name": "x"})
    assert not off.keys() & {"log_with", "logging_dir", "log_tracker_name", "wandb_run_name"}


def test_secrets_travel_in_the_environment_alone(bench):
    key, token = "wk-5c1e2b7d", "hf-0a9b8c7d"
    keys = {"log_with": "wandb", "wandb_api_key": key, "huggingface_token": token, "webui_auth": "user:pa55"}
    launch = bench.prepare(keys)
    assert dict(launch.secrets) == {"WANDB_API_KEY": key, "HF_TOKEN": token}
    told = repr(launch) + json.dumps(dict(launch.files)) + json.dumps(launch.argv) + str(bench.problems(keys))
    assert not [secret for secret in (key, token, "pa55") if secret in told]


def test_a_trackers_config_from_a_template(bench):
    template = bench.folder / "log.toml"
    template.write_text('[wandb]\nname = "{0}"\nentity = "{entity}"\nconfig = { a = 1 }\n', encoding="utf-8")
    keys = {"log_with": "wandb", "log_tracker_config_template": str(template), "entity_name": 'my "team"'}
    launch = bench.prepare({**keys, "caption_prefix_list": ['a "b" \\x', "c"]})
    filled = toml.loads(launch.files["log_tracker.toml"])["wandb"]
    assert filled["name"] == 'p_caption_prefix=a "b" \\x' and filled["entity"] == 'my "team"'
    assert filled["config"] == {"a": 1}
    training = toml.loads(launch.files["training.toml"])
    assert training["log_tracker_config"].endswith("attempt-1/log_tracker.toml")
    template.write_text("[wandb\n", encoding="utf-8")
    assert "log.toml is not valid TOML" in str(bench.errors(keys))
    missing = {**keys, "log_tracker_config_template": "/nowhere.toml"}
    assert "log_tracker_config_template: /nowhere.toml cannot be read" in str(bench.errors(missing))


def test_a_trackers_config_as_a_file(bench, monkeypatch):
    monkeypatch.chdir(bench.folder)
    options = bench.training({"log_with": "tensorboard", "log_tracker_config": "log.toml"})
    assert options["log_tracker_config"] == str(bench.folder / "log.toml")


# names and results


def test_the_runs_key_goes_into_every_checkpoint(bench):
    run = bench.run({"training_comment": "mine"})
    launch = sd_scripts.prepare(run, attempt_of(run, bench.context), bench.context)
    assert f'training_comment = "mine automate-train key={run.key}"' in launch.files["training.toml"]


def test_finished_files_are_kept_under_the_runs_name(bench):
    target = bench.folder / "results"
    runs = bench.runs({"target_path": str(target), "unet_lr_list": [1e-3, 2e-3]})
    for run in runs:
        launch = sd_scripts.prepare(run, attempt_of(run, bench.context), bench.context)
        assert dict(launch.keep) == {
            f"output/{run.slug}.safetensors": str(target / f"{run.slug}.safetensors"),
            "training.toml": str(target / f"{run.slug}.toml"),
        }
    assert bench.prepare({}).keep == {}
    assert list(bench.prepare({"target_path": str(target), "save_model_as": "ckpt"}).keep) == [
        "output/p.ckpt",
        "training.toml",
    ]


def test_the_users_own_output_name_and_folder(bench):
    keys = {"output_name": "my_lora", "output_dir": str(bench.folder / "loras")}
    options, launch = bench.training(keys), bench.prepare(keys)
    assert options["output_name"] == "my_lora" and options["output_dir"].endswith("attempt-1/output")
    assert str(bench.folder / "loras" / "my_lora.safetensors") in launch.keep.values()
    assert "checkpoints go to each run's own folder; the finished file is copied to output_dir" in str(
        bench.problems(keys)
    )
    names = set()
    for run in bench.runs({**keys, "seed_list": [1, 2]}):
        training = sd_scripts.prepare(run, attempt_of(run, bench.context), bench.context).files["training.toml"]
        names.add(toml.loads(training)["output_name"])
    assert names == {"my_lora-p_seed-1", "my_lora-p_seed-2"}
    assert "is not a file name" in str(bench.errors({"output_name": "a/b"}))


def test_paths_in_the_kept_toml_are_absolute(bench, monkeypatch):
    monkeypatch.chdir(bench.folder)
    (bench.folder / "vae.safetensors").write_bytes(safetensors({}))
    options = bench.training({"model_file": "model.safetensors", "vae": "vae.safetensors"})
    assert options["pretrained_model_name_or_path"] == str(bench.model)
    assert options["vae"] == str(bench.folder / "vae.safetensors")
    assert bench.training({"model_file": "org/name"})["pretrained_model_name_or_path"] == "org/name"


def test_disk_space_is_estimated(bench):
    keys = {"network_dim": 32, "epoch_num": 10, "save_precision": "fp16"}
    whole, one = sd_scripts.disk_bytes(bench.run(keys), bench.context)
    assert 20e6 < one < 60e6 and whole == 10 * one
    assert sd_scripts.disk_bytes(bench.run({**keys, "save_every_n_epochs": 5}), bench.context)[0] == 2 * one
    assert sd_scripts.disk_bytes(bench.run({**keys, "save_last_n_epochs": 3}), bench.context)[0] == 4 * one
    assert sd_scripts.disk_bytes(bench.run({"repo_dir": "/nowhere"}), bench.context) == (0, 0)
