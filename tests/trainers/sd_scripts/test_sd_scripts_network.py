"""KEYS.md, table 2: lora_type, conv_*, lbw_weights and *_lr_weight become network_module and network_args."""

from __future__ import annotations

import pytest
from sd_scripts_kit import Bench


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


@pytest.mark.parametrize(
    ("keys", "module", "args"),
    [
        ({}, "networks.lora", None),
        ({"lora_type": "LoRA", "conv_dim": 8, "conv_alpha": 1}, "networks.lora", None),
        ({"lora_type": "LoCon", "conv_dim": 8, "conv_alpha": 1}, "networks.lora", ["conv_dim=8", "conv_alpha=1"]),
        ({"lora_type": "LoHa Lycoris", "conv_dim": 8}, "lycoris.kohya", ["algo=loha", "conv_dim=8"]),
        ({"lora_type": "LoCon Lycoris"}, "lycoris.kohya", ["algo=locon"]),
        ({"lora_type": "(IA)^3 Lycoris"}, "lycoris.kohya", ["algo=ia3"]),
        ({"lora_type": "LyCORIS/LoKr"}, "lycoris.kohya", ["algo=lokr"]),
        (
            {"lora_type": "LoKr Lycoris", "lycoris_preset": "full", "train_network_norm": True},
            "lycoris.kohya",
            ["algo=lokr", "preset=full", "train_norm=True"],
        ),
        ({"lora_type": "LoRA", "lycoris_preset": "full"}, "networks.lora", None),
        ({"network_module": "networks.dylora", "conv_dim": 4}, "networks.dylora", ["conv_dim=4"]),
        ({"model_type": "flux", "lora_type": "LoRA"}, "networks.lora_flux", None),
        ({"model_type": "sd3"}, "networks.lora_sd3", None),
        ({"sdxl": True}, "networks.lora", None),
    ],
)
def test_lora_type(bench, keys, module, args):
    options = bench.training(keys)
    assert options["network_module"] == module
    assert options.get("network_args") == args


def test_an_unknown_lora_type_names_the_known_ones(bench):
    assert "allowed: LoRA, LoCon, lora Lycoris" in str(bench.errors({"lora_type": "LoRRA"}))
    assert "warning conv_dim: has no effect: lora_type LoRA does not use it" in str(
        bench.problems({"lora_type": "LoRA", "conv_dim": 8})
    )


ONES16 = [1] * 16


@pytest.mark.parametrize("form", [lambda w: w, str, lambda w: str(w).strip("[]")])
def test_lbw_weights_stand_for_blocks(bench, form):
    weights = [0.5, 0, 0.1, 1, 1, 1, 1, 0.7, 0.3, 1, 1, 1, 1, 1, 1, 1, 2]
    options = bench.training({"lbw_weights": form(weights), "text_encoder_lr": 2e-4, "unet_lr": 1e-3})
    assert options["network_args"] == [
        "down_lr_weight=1,0,0.1,1,1,1,1,1,1,1,1,1",
        "mid_lr_weight=0.7",
        "up_lr_weight=1,1,1,0.3,1,1,1,1,1,1,1,2",
    ]
    assert options["text_encoder_lr"] == [1e-4]


def test_lbw_weights_of_one_leave_everything_as_it_is(bench):
    options = bench.training({"lbw_weights": str([1] * 17), "text_encoder_lr": 2e-4})
    assert "network_args" not in options and options["text_encoder_lr"] == [2e-4]
    assert "network_args" not in bench.training({"lbw_weights": ONES16})


def test_the_first_of_17_multiplies_whatever_rate_the_text_encoder_has(bench):
    weights = [0.1, *ONES16]
    assert bench.training({"lbw_weights": weights, "unet_lr": 3e-4})["text_encoder_lr"] == [3e-5]
    assert bench.training({"lbw_weights": weights, "unet_lr": 3e-4, "learning_rate": 1e-4})["text_encoder_lr"] == [1e-5]
    assert bench.training({"lbw_weights": [0, *ONES16], "unet_lr": 3e-4})["network_train_unet_only"] is True


@pytest.mark.parametrize("value", [[1] * 15, "1,2,x", {"a": 1}, [None] * 16, "", True])
def test_lbw_weights_of_a_wrong_length(bench, value):
    found = bench.errors({"lbw_weights": value})
    assert found == [] if value == "" else "lbw_weights: needs 17 numbers" in str(found)


def test_lbw_weights_know_only_the_blocks_of_sd15(bench):
    assert "names the blocks of SD 1.5" in str(bench.errors({"sdxl": True, "lbw_weights": [0, *ONES16[1:]]}))
    assert bench.errors({"sdxl": True, "lbw_weights": ONES16}) == []


@pytest.mark.parametrize(
    ("keys", "args"),
    [
        ({"down_lr_weight": "sine+.5", "mid_lr_weight": 2, "up_lr_weight": "cosine"},
         ["down_lr_weight=sine+.5", "mid_lr_weight=2", "up_lr_weight=cosine"]),
        ({"down_lr_weight": [0] * 12, "up_lr_weight": [1] * 12}, ["down_lr_weight=" + ",".join("0" * 12)]),
        ({"down_lr_weight": "1,1,1,1,1,1,1,1,1,1,1,1", "mid_lr_weight": "1"}, None),
        ({"lbw_weights": [0] * 16, "mid_lr_weight": 0.5},
         ["down_lr_weight=1,0,0,1,0,0,1,0,0,1,1,1", "mid_lr_weight=0.5", "up_lr_weight=1,1,1,0,0,0,0,0,0,0,0,0"]),
        ({"mid_lr_weight": 0.5, "network_args": ["mid_lr_weight=0.1", "rank_dropout=0.2"]},
         ["mid_lr_weight=0.1", "rank_dropout=0.2"]),
        ({"network_args": "conv_dim=4 conv_alpha=1"}, ["conv_dim=4", "conv_alpha=1"]),
    ],
)  # fmt: skip
def test_block_weights_as_given(bench, keys, args):
    assert bench.training(keys).get("network_args") == args


@pytest.mark.parametrize("value", ["sine-.5", "wave", [1] * 13, [1], {"a": 1}, "a,b"])
def test_block_weights_that_upstream_would_misread(bench, value):
    assert "down_lr_weight: needs 12 numbers" in str(bench.errors({"down_lr_weight": value}))
