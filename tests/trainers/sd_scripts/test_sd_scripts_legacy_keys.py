"""KEYS.md, table 2: what old names become in training.toml, and who wins when two names speak of one option."""

from __future__ import annotations

import pytest
from sd_scripts_kit import Bench, make_pictures, make_repo


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def test_model_optimizer_epochs_and_rates(bench):
    options = bench.training(
        {"optimizer": "AdamW8bit", "epoch_num": 15, "unet_lr": 3e-05, "text_encoder_lr": 6e-05, "network_dim": 64}
    )
    assert options["pretrained_model_name_or_path"] == str(bench.model)
    assert options["optimizer_type"] == "AdamW8bit"
    assert options["max_train_epochs"] == 15
    assert options["unet_lr"] == 3e-05 and options["learning_rate"] == 3e-05
    assert options["text_encoder_lr"] == [6e-05]
    assert "network_train_unet_only" not in options


def test_learning_rate_stays_where_it_is_given(bench):
    assert bench.training({"unet_lr": 1e-4}, {"learning_rate": 5e-5})["learning_rate"] == 5e-5


@pytest.mark.parametrize("zero", [0, 0.0, "0", [0, 0.0]])
def test_a_text_encoder_without_a_rate_is_not_trained(bench, zero):
    assert bench.training({"text_encoder_lr": zero})["network_train_unet_only"] is True


def test_adamw_keys_go_to_the_adamw_family_alone(bench):
    keys = {"adamw_betas": "0.9,0.99", "adamw_eps": "1e-8", "adamw_weight_decay": 0.1}
    assert bench.training(keys)["optimizer_args"] == ["betas=0.9,0.99", "eps=1e-8", "weight_decay=0.1"]
    assert bench.training({**keys, "adamw_betas": [0.9, 0.99], "optimizer": "PagedAdamW8bit"})["optimizer_args"][0] == (
        "betas=0.9,0.99"
    )
    assert "optimizer_args" not in bench.training({**keys, "optimizer": "Lion"})
    assert "warning adamw_eps: has no effect: Lion is not of the AdamW family (take it out)" in bench.problems(
        {**keys, "optimizer": "Lion"}
    )
    assert "error adamw_betas: needs two numbers" in str(bench.errors({"adamw_betas": "0.9"}))


@pytest.mark.parametrize(
    ("scheduler", "name", "value"),
    [("cosine_with_restarts", "lr_scheduler_num_cycles", 3), ("polynomial", "lr_scheduler_power", 3.0)],
)
def test_lr_scheduler_number(bench, scheduler, name, value):
    assert bench.training({"lr_scheduler": scheduler, "lr_scheduler_number": 3})[name] == value
    options = bench.training({"lr_scheduler": "cosine", "lr_scheduler_number": 3})
    assert "lr_scheduler_num_cycles" not in options and "lr_scheduler_power" not in options


def test_lr_warmup_ratio_is_a_share_where_the_script_reads_shares(bench):
    keys = {"lr_scheduler": "cosine", "epoch_num": 4, "num_repeats": 10, "train_batch_size": 2}
    assert bench.training({**keys, "lr_warmup_ratio": 0.1})["lr_warmup_steps"] == 0.1
    assert bench.training({**keys, "lr_warmup_steps": 100})["lr_warmup_steps"] == 100
    assert "is a share of all steps" in str(bench.errors({**keys, "lr_warmup_ratio": 2}))


def test_lr_warmup_ratio_is_counted_out_for_an_old_script(bench, tmp_path):
    old = make_repo(tmp_path / "old", warmup="int")
    keys = {"repo_dir": str(old), "lr_scheduler": "cosine", "epoch_num": 4, "num_repeats": 10, "train_batch_size": 2}
    assert bench.training({**keys, "lr_warmup_ratio": 0.1})["lr_warmup_steps"] == 6  # of 3 * 10 / 2 * 4
    keys = {"repo_dir": str(old), "lr_scheduler": "cosine", "max_train_steps": 500}
    assert bench.training({**keys, "lr_warmup_ratio": 0.1})["lr_warmup_steps"] == 50


def test_a_constant_schedule_refuses_a_warmup_before_anything_is_loaded(bench):
    assert "set lr_scheduler to constant_with_warmup" in str(bench.errors({"lr_warmup_ratio": 0.1}))
    assert bench.errors({"lr_warmup_ratio": 0, "lr_scheduler": "constant"}) == []


@pytest.mark.parametrize(
    ("keys", "gamma"),
    [
        ({"min_snr_gamma": True, "min_snr_gamma_value": 4}, 4.0),
        ({"min_snr_gamma": "true", "min_snr_gamma_value": 4}, 4.0),
        ({"min_snr_gamma": True}, 5.0),
        ({"min_snr_gamma": False, "min_snr_gamma_value": 4}, None),
        ({"min_snr_gamma": 3}, 3.0),
        ({"min_snr_gamma_value": 4}, None),
    ],
)
def test_min_snr_gamma(bench, keys, gamma):
    assert bench.training(keys).get("min_snr_gamma") == gamma


@pytest.mark.parametrize(
    ("value", "mixed", "saved"), [("fp16", "fp16", "fp16"), ("bf16", "bf16", "bf16"), ("fp32", "no", "float")]
)
def test_precision_type(bench, value, mixed, saved):
    launch = bench.prepare({"precision_type": value})
    assert f'mixed_precision = "{mixed}"' in launch.files["training.toml"]
    assert f'save_precision = "{saved}"' in launch.files["training.toml"]
    assert launch.argv[launch.argv.index("--mixed_precision") + 1] == mixed
    assert bench.training({"precision_type": value, "save_precision": "float"})["save_precision"] == "float"
    assert "allowed: fp16, bf16" in str(bench.errors({"precision_type": "int8"}))


def test_mask_loss_becomes_upstreams_masked_loss(bench):
    masks = make_pictures(bench.folder / "masks", captions=0)
    keys = {"mask_loss": True, "mask_dir": str(masks), "mask_threshold": 1}
    launch = bench.prepare(keys)
    assert "masked_loss = true" in launch.files["training.toml"]
    assert f'conditioning_data_dir = "{masks}"' in launch.files["dataset.toml"]
    assert "\nmask_" not in launch.files["training.toml"] + launch.files["dataset.toml"]
    assert "no threshold" in str(bench.errors({**keys, "mask_threshold": 0.5}))
    off = bench.prepare({**keys, "mask_loss": False, "mask_threshold": 0.5})
    assert "masked_loss" not in off.files["training.toml"] and str(masks) not in off.files["dataset.toml"]
    assert "mask_dir is dropped: mask_loss is off" in str(bench.problems({**keys, "mask_loss": False}))
    assert "has no mask_dir" in str(bench.errors({"mask_loss": True}))


def test_a_fork_with_mask_loss_gets_it_as_it_is(bench, tmp_path):
    extra = (
        '    parser.add_argument("--mask_loss", action="store_true")\n'
        '    parser.add_argument("--mask_threshold", type=float, default=1.0)\n'
    )
    fork = make_repo(tmp_path / "fork", extra)
    masks = make_pictures(tmp_path / "masks", captions=0)
    launch = bench.prepare({"repo_dir": str(fork), "mask_loss": True, "mask_threshold": 0.5, "mask_dir": str(masks)})
    assert "mask_loss = true\nmask_threshold = 0.5" in launch.files["training.toml"]
    assert f'mask_dir = "{masks}"' in launch.files["dataset.toml"]


@pytest.mark.parametrize(
    ("keys", "epochs", "steps"),
    [
        ({}, 1, None),
        ({"sample_opt": "epoch", "sample_num": 2}, 2, None),
        ({"sample_opt": "step", "sample_num": 50}, None, 50),
        ({"sample_opt": "step"}, None, 1),
        ({"sample_opt": "None", "sample_num": 50}, None, None),
        ({"sample_opt": None}, None, None),
        ({"sample_opt": "epoch", "sample_num": 2, "sample_every_n_epochs": 7}, 7, None),
        ({"sample_every_n_steps": 9}, None, 9),
    ],
)
def test_prompts_for_the_trainers_own_samples(bench, keys, epochs, steps):
    prompts = bench.folder / "prompts.txt"
    prompts.write_text("a boat --d 1\n", encoding="utf-8")
    options = bench.training({"prompt_path": str(prompts), **keys})
    assert options["sample_prompts"] == str(prompts)
    assert (options.get("sample_every_n_epochs"), options.get("sample_every_n_steps")) == (epochs, steps)


def test_the_trainer_samples_nothing_beside_a_webui(bench):
    assert "sample_every_n_epochs" not in bench.training({"sample_opt": "epoch", "sample_num": 1})
    prompts = bench.folder / "prompts.txt"
    prompts.write_text("a boat\n", encoding="utf-8")
    keys = {"prompt_path": str(prompts), "use_external_webui": True, "webui_url": "http://127.0.0.1:7860"}
    assert "sample_prompts" not in bench.training(keys)
    assert bench.errors(keys) == []


# who wins


def test_the_later_layer_wins_and_the_trainers_own_name_at_a_tie(bench):
    assert bench.training({"precision_type": "bf16"}, {"mixed_precision": "fp16"})["mixed_precision"] == "bf16"
    assert bench.training({"mixed_precision": "fp16"}, {"precision_type": "bf16"})["mixed_precision"] == "fp16"
    assert bench.training({"mixed_precision": "fp16", "precision_type": "bf16"})["mixed_precision"] == "fp16"
    assert bench.training({"lora_type": "LoCon"}, {"network_module": "networks.dylora"})["network_module"] == (
        "networks.lora"
    )
    both = {"optimizer_args": ["weight_decay=0.5"]}
    assert bench.training({"adamw_weight_decay": 0.1}, both)["optimizer_args"] == ["weight_decay=0.1"]
    assert bench.training({"adamw_weight_decay": 0.1, **both})["optimizer_args"] == ["weight_decay=0.5"]
    args = bench.training({"adamw_eps": "1e-6"}, both)["optimizer_args"]
    assert args == ["eps=1e-6", "weight_decay=0.5"]
    flags = {"network_train_unet_only": False}
    assert bench.training({"text_encoder_lr": 0}, None, **flags)["network_train_unet_only"] is False


def test_null_empty_and_none_mean_not_given(bench):
    default = {"noise_offset": 0.1, "vae": "x", "clip_skip": 2, "save_every_n_epochs": 5}
    options = bench.training(
        {"noise_offset": None, "vae": "", "clip_skip": "None", "save_every_n_epochs": None}, default
    )
    assert not options.keys() & default.keys()
