"""What the sd-scripts trainer tells the hook about trackers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sd_scripts_kit import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def told(bench: Bench, **options: Any) -> Any:
    return json.loads(bench.prepare({"unet_lr_list": [1e-4, 2e-4]}, options).files["hook.json"])


def test_a_run_is_named_by_what_varies_and_grouped_by_the_sweep(bench: Bench) -> None:
    trackers = told(bench, log_with="aim")["trackers"]
    assert (trackers["with"], trackers["project"], trackers["group"]) == ("aim", "p", "p")
    assert trackers["name"].startswith("p_unet_lr=") and trackers["tags"] == ["automate-train"]
    folder = Path(trackers["folder"])
    assert str(folder.parent) == f"{bench.context.temp_dir}/_logs/p"
    assert folder.name.startswith("000-p_unet_lr-") and folder.name.endswith("-1")
    assert told(bench, log_with="aim", log_tracker_name="mine")["trackers"]["project"] == "mine"
    mine = told(bench, log_with="tensorboard", logging_dir="/logs")["trackers"]["folder"]
    assert mine == f"/logs/{folder.name}"


def test_all_options_are_told_but_no_secret(bench: Bench) -> None:
    secrets = {"wandb_api_key": "0123secret", "webui_auth": "me:secret", "huggingface_token": "hf_secret"}
    launch = bench.prepare({"unet_lr_list": [1e-4, 2e-4]}, {"log_with": "all", "network_dim": 8, **secrets})
    config = json.loads(launch.files["hook.json"])["trackers"]["config"]
    assert (config["unet_lr"], config["network_dim"], config["resolution"]) == (1e-4, 8, 512)
    assert "secret" not in launch.files["hook.json"]


def test_without_trackers_the_hook_hears_of_none(bench: Bench) -> None:
    assert "trackers" not in told(bench) and "trackers" not in told(bench, log_with="None")
    assert {"hook/hook_backfill_images.py", "hook/hook_trackers.py"} <= bench.prepare({}).files.keys()
