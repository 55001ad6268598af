"""KEYS.md, tables 1, 4 and 5, as far as the trainer is concerned; what is written for every run unless given."""

from __future__ import annotations

import pytest
from sd_scripts_kit import Bench, make_repo, script

from automate_train.errors import UserError


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


# table 1: ours never reach the trainer


def test_our_keys_never_reach_the_trainer(bench):
    options = bench.training(
        {
            "sdxl": False,
            "cuda_device": "0",
            "port": 20067,
            "target_path": str(bench.folder / "results"),
            "webui_url": "http://127.0.0.1:9050/",
            "webui_auth": "user:pass",
            "should_wait_webui_process": False,
            "entity_name": "me",
            "process_title": "t",
            "on_failure": "stop",
            "on_nan": "stop",
            "retries": 0,
            "hook": True,
            "launcher": "accelerate",
        }
    )
    assert set(options) == {
        "pretrained_model_name_or_path", "save_every_n_epochs", "save_model_as", "max_token_length", "network_module",
        "max_data_loader_n_workers", "persistent_data_loader_workers", "cache_latents", "dataset_config", "output_dir",
        "output_name", "training_comment",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("keys", "name"),
    [
        ({}, "train_network.py"),
        ({"sdxl": True}, "sdxl_train_network.py"),
        ({"sdxl": "true"}, "sdxl_train_network.py"),
        ({"model_type": "flux"}, "flux_train_network.py"),
        ({"model_type": "sd3"}, "sd3_train_network.py"),
        ({"model_type": "sd3", "train_script": "train_network.py"}, "train_network.py"),
    ],
)
def test_the_family_decides_the_script(bench, keys, name):
    assert str(bench.repo / name) in bench.prepare(keys).argv


def test_a_gui_that_holds_sd_scripts_is_a_repo_too(bench, tmp_path):
    make_repo(tmp_path / "gui" / "sd-scripts")
    launch = bench.prepare({"repo_dir": str(tmp_path / "gui")})
    assert str(tmp_path / "gui" / "sd-scripts" / "train_network.py") in launch.argv


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"repo_dir": "/nowhere/sd-scripts"}, "repo_dir: there is no folder '/nowhere/sd-scripts'"),
        ({"repo_dir": None}, "repo_dir: is not given"),
        ({"repo_dir": 3}, "repo_dir: needs a path"),
        ({"train_script": "train_netwrk.py"}, "did you mean train_network.py"),
        ({"model_type": "flux", "sdxl": True}, "two different models"),
    ],
)
def test_a_repo_without_the_script_is_one_sentence(bench, keys, says):
    assert says in str(bench.errors(keys))
    with pytest.raises(UserError):
        bench.prepare(keys)


def test_venv_path_then_the_repos_venv_then_ours(bench, tmp_path):
    import sys

    assert bench.prepare({}).argv[0] == sys.executable
    for folder in ("repo/.venv", "repo/venv", "mine"):
        (tmp_path / folder / "bin").mkdir(parents=True)
        (tmp_path / folder / "bin" / "python").symlink_to(sys.executable)
        keys = {"venv_path": str(tmp_path / "mine")} if folder == "mine" else {}
        assert bench.prepare(keys).argv[0] == str(tmp_path / folder / "bin" / "python")


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({"cuda_device": "1,x"}, "cuda_device: needs device numbers"),
        ({"cuda_device": [1]}, "cuda_device: needs device numbers"),
        ({"port": "high"}, "port: needs a whole number"),
        ({"port": 70000}, "port: must be 1 to 65535"),
        ({"sample_num": 0}, "sample_num: must be 1"),
        ({"sample_opt": "epochs"}, "sample_opt: 'epochs' is not one of epoch, step; did you mean epoch?"),
        ({"log_with": "tensorbord"}, "log_with: 'tensorbord' is not one of tensorboard, wandb, aim, all"),
        ({"launcher": "accelrate"}, "launcher: 'accelrate' is not one of accelerate, python"),
        ({"hook": "yes"}, "hook: is a switch"),
        ({"webui_urls": [1, {}]}, "webui_urls: needs a text"),
        ({"target_path": ["a"]}, "target_path: needs a text"),
    ],
)
def test_values_of_our_keys_are_checked(bench, value, says):
    assert any(text.startswith("error " + says) for text in bench.errors(value)), bench.problems(value)


def test_written_for_every_run_unless_given(bench):
    options = bench.training({})
    assert (options["save_every_n_epochs"], options["save_model_as"], options["max_token_length"]) == (
        1, "safetensors", 225,
    )  # fmt: skip
    assert options["max_data_loader_n_workers"] == 4 and options["persistent_data_loader_workers"] is True
    assert options["cache_latents"] is True
    for key in ("flip_aug", "color_aug", "random_crop"):
        assert "cache_latents" not in bench.training({key: True})
    options = bench.training({"save_every_n_epochs": 2, "max_data_loader_n_workers": 0, "cache_latents": False})
    assert options["save_every_n_epochs"] == 2 and options["cache_latents"] is False
    assert "persistent_data_loader_workers" not in options  # torch refuses it without workers


def test_built_in_settings_that_a_script_does_not_know_are_left_out(bench, tmp_path):
    (bench.repo / "other_train_network.py").write_text(
        "import argparse\ndef setup_parser():\n    p = argparse.ArgumentParser()\n"
        "    p.add_argument('--dataset_config', type=str)\n"
        "    p.add_argument('--output_dir', type=str)\n"
        "    return p\n",
        encoding="utf-8",
    )
    keys = {"train_script": "other_train_network.py", "model_file": None}
    assert set(bench.training(keys)) == {"dataset_config", "output_dir"}


# table 4: keys of forks

OFF = {
    "gor_regularization": False,
    "gor_regularization_type": "inter",
    "gor_ortho_decay": 0.99,
    "enable_hypertile": "false",
    "contrastive_class_learning": False,
    "contrastive_class_learning_weight": 0.5,
    "mask_loss": False,
    "mask_threshold": 1,
}


def test_a_forks_keys_are_dropped_where_they_are_off(bench):
    assert not bench.training(OFF).keys() & OFF.keys()
    found = bench.problems(OFF)
    assert [text for text in found if "error" in text] == []
    for key in OFF.keys() - {"mask_loss"}:
        assert any(text.startswith(f"warning {key}: is dropped") for text in found), key


@pytest.mark.parametrize(
    "key", ["gor_regularization", "enable_hypertile", "contrastive_class_learning", "contrastive_class_learning_weight"]
)
def test_a_forks_key_that_is_on_is_an_error(bench, key):
    keys = {key: True}
    assert f"error {key}: train_network.py does not know it, and it is switched on" in str(bench.errors(keys))
    with pytest.raises(UserError):
        bench.prepare(keys)


def test_a_fork_gets_its_keys(bench, tmp_path):
    extra = (
        '    parser.add_argument("--gor_regularization", action="store_true")\n'
        '    parser.add_argument("--gor_regularization_type", type=str, default=None, choices=["inter", "intra"])\n'
        '    parser.add_argument("--gor_ortho_decay", type=float, default=1.0)\n'
    )
    fork = {"repo_dir": str(make_repo(tmp_path / "fork", extra))}
    options = bench.training({**fork, "gor_regularization": False, "gor_ortho_decay": 1})
    assert (options["gor_regularization"], options["gor_ortho_decay"]) == (False, 1.0)
    assert "is not one of inter, intra; did you mean" in str(bench.errors({**fork, "gor_regularization_type": "intr"}))


# table 5: values


@pytest.mark.parametrize(
    ("keys", "name", "value"),
    [
        ({"gradient_checkpointing": "true"}, "gradient_checkpointing", True),
        ({"gradient_checkpointing": "False"}, "gradient_checkpointing", False),
        ({"network_alpha": "1"}, "network_alpha", 1.0),
        ({"network_dim": "4"}, "network_dim", 4),
        ({"network_dim": 4.0}, "network_dim", 4),
        ({"learning_rate": "1e-4"}, "learning_rate", 1e-4),
        ({"seed": "42"}, "seed", 42),
        ({"output_name": "x1"}, "output_name", "x1"),
        ({"text_encoder_lr": [1e-5, 0]}, "text_encoder_lr", [1e-5, 0.0]),
        ({"noise_offset": 1}, "noise_offset", 1.0),
    ],
)
def test_values_get_the_type_that_the_trainer_wants(bench, keys, name, value):
    found = bench.training(keys)[name]
    assert found == value and type(found) is type(value)


def test_text_for_a_switch_gets_a_note(bench):
    assert 'warning gradient_checkpointing: the text "false" is read as the switch false ()' in bench.problems(
        {"gradient_checkpointing": "false"}
    )
    assert "warning shuffle_caption" in str(bench.problems({"shuffle_caption": "true"}))


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        (
            {"learning_rte": 1e-4},
            "is neither an option of train_network.py nor of automate-train (did you mean",
        ),
        ({"lerning_rate": 1e-4}, "did you mean learning_rate"),
        ({"imags_folder": "x"}, "did you mean images_folder"),
        ({"zzqqxx": 1}, "automate-train args"),
        ({"network_dim": "four"}, "network_dim: needs a whole number, not 'four'"),
        ({"network_dim": 4.5}, "network_dim: needs a whole number"),
        ({"save_precision": "fp8"}, "save_precision: 'fp8' is not one of float, fp16, bf16"),
        ({"loss_type": "hubr"}, "did you mean huber?"),
        ({"gradient_checkpointing": "yes"}, "gradient_checkpointing: is a switch"),
        ({"optimizer": "AdmW8bit"}, "optimizer: the trainer has no 'AdmW8bit' (did you mean"),
        ({"lr_scheduler": "cosin"}, "lr_scheduler: the trainer has no 'cosin'"),
        ({"network_module": "networks.lorra"}, "did you mean networks.lora"),
        ({"network_args": ["conv_dim"]}, "is not key=value"),
        ({"config_file": "x.toml"}, "config_file: the config file is written by automate-train"),
        ({"output_config": True}, "output_config"),
    ],
)
def test_typos_and_wrong_types_are_named_with_their_key(bench, keys, says):
    assert says in "\n".join(bench.errors(keys))


def test_a_problem_names_the_file(bench):
    from automate_train.trainers import sd_scripts

    found = sd_scripts.problems(bench.run({"learning_rte": 1}), bench.context)
    assert [str(problem).startswith("tuning file t.json: learning_rte: ") for problem in found if problem.key] == [True]


def test_every_spelling_of_the_shape_is_understood():
    assert 'parser.add_argument("--lr_warmup_steps", type=int, default=0)' in script(warmup="int")
