"""Names in network_args and optimizer_args, against the sources that read them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from sd_scripts_kit import Bench

NETWORK = """
def helper(nw_kwargs):
    return nw_kwargs.get("down_lr_weight", None), nw_kwargs["mid_lr_weight"], "up_lr_weight" in nw_kwargs

def create_network(multiplier, network_dim, network_alpha, vae, text_encoder, unet, neuron_dropout=None, **kwargs):
    conv_dim = kwargs.get("conv_dim", None)
    rank = kwargs.pop('rank_dropout')
"""


@pytest.fixture
def bench(tmp_path):
    found = Bench(tmp_path)
    (found.repo / "networks" / "lora.py").write_text(NETWORK, encoding="utf-8")
    return found


def test_a_name_that_the_network_does_not_read(bench):
    [found] = bench.problems({"network_args": ["conv_dimm=4", "rank_dropout=0.1", "mid_lr_weight=1"]})
    assert found.startswith("warning network_args: ") and "conv_dimm" in found and "did you mean conv_dim?" in found
    assert bench.problems({"network_args": ["conv_dim=4", "down_lr_weight=1"]}) == []
    (bench.repo / "networks" / "lora.py").write_text("no python ((", encoding="utf-8")
    assert bench.problems({"network_args": ["conv_dimm=4"]}) == [], "what cannot be read is not judged"


@pytest.fixture
def venv(tmp_path) -> Path:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "venv")], check=True)
    (packages,) = (tmp_path / "venv" / "lib").glob("*/site-packages")
    for name in ("torch/optim", "bitsandbytes/optim", "accelerate", "safetensors", "toml", "lycoris"):
        folder = packages / name
        folder.mkdir(parents=True)
        for each in (folder, folder.parent):
            if each != packages:
                (each / "__init__.py").touch()
    (packages / "torch/optim/adamw.py").write_text(
        "class AdamW(Base):\n    def __init__(self, params, betas=(0, 1), *, weight_decay=0):\n        pass\n"
    )
    (packages / "bitsandbytes/optim/adamw.py").write_text(
        "class AdamW8bit(Base):\n    def __init__(self, params, lr=1e-3, min_8bit_size=4096):\n        pass\n"
        "class PagedAdamW8bit(Base):\n    def __init__(self, params, **kwargs):\n        pass\n"
    )
    (packages / "lycoris/kohya.py").write_text(
        'def create_network(a, **kwargs):\n    algo = kwargs.get("algo", "lora")\n'
    )
    return tmp_path / "venv"


@pytest.mark.parametrize(
    ("optimizer", "args", "wrong"),
    [
        ("AdamW", ["betass=0.9,0.99"], "betass"),
        (None, ["betass=0.9,0.99"], "betass"),
        ("adamw8bit", ["min_8bit_sizes=1"], "min_8bit_sizes"),
        ("AdamW", ["betas=0.9,0.99", "weight_decay=0.1"], ""),
        ("PagedAdamW8bit", ["anything=1"], ""),
        ("some.where.Optimizer", ["anything=1"], ""),
        ("Adamax", ["anything=1"], ""),
    ],
)
def test_a_name_that_the_optimizer_does_not_have(bench, venv, optimizer, args, wrong):
    found = bench.problems({"venv_path": str(venv), "optimizer": optimizer, "optimizer_args": args})
    if wrong:
        [text] = found
        assert text.startswith("warning optimizer_args: ") and wrong in text and "did you mean" in text
    else:
        assert found == []


def test_a_network_of_another_package(bench, venv):
    keys = {"venv_path": str(venv), "lora_type": "LoHa Lycoris", "network_args": ["algoo=loha"]}
    assert "did you mean algo?" in str(bench.problems(keys))
