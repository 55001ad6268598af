"""A sweep with held-out pictures, as a person types it: what is said, what is written, what the program finds."""

from __future__ import annotations

import json
import sys

import pytest
from picture_kit import draw, saved

LIST = "import os, sys; open(sys.argv[2] + '/seen.txt', 'w').write(' '.join(sorted(os.listdir(sys.argv[1]))))"
COMMAND = [sys.executable, "-c", LIST, "{images_folder}", "{output_dir}"]


@pytest.fixture
def flags(tmp_path, sweep_files):
    (tmp_path / "boats").mkdir()
    for seed in range(6):
        saved(draw(seed, 64), tmp_path / "boats" / f"{seed}.png")
        (tmp_path / "boats" / f"{seed}.txt").write_text(f"boat {seed}")
    return sweep_files(COMMAND, {"seed_list": [1, 2]}, images_folder="boats", env={"SEED": "{seed}"})


def test_the_plan_says_it_and_writes_nothing(flags, automate_train, tmp_path):
    done = automate_train(*flags, "--dry-run", "--set", "held_out=2")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("held out: 2 of 6 pictures, which no run sees\n") and not (tmp_path / "out").exists()
    done = automate_train(*flags, "--dry-run")
    assert done.stdout.splitlines()[-1].startswith("held_out is off: every picture is trained on")
    told = json.loads(automate_train(*flags, "--dry-run", "--json", "--set", "held_out=2").stdout)
    assert len(told["held_out"]["pictures"]) == 2 and "/datasets/" in told["runs"][0]["argv"][3]
    assert json.loads(automate_train(*flags, "--dry-run", "--json").stdout)["held_out"] is None


def test_every_run_finds_the_others_alone_and_a_restart_the_same(flags, automate_train, tmp_path):
    done = automate_train(*flags, "--set", "held_out=2", "--only", "0")
    assert done.returncode == 0 and "held out: 2 of 6 pictures" in done.stdout, done.stderr
    file = tmp_path / "out" / "p" / "held_out.json"
    told = json.loads(file.read_text())
    held_out = {each["name"] for each in told["pictures"]}
    assert len(held_out) == 2 and all(each["caption"].endswith(".txt") for each in told["pictures"])
    for seed in range(30, 36):
        saved(draw(seed, 64), tmp_path / "boats" / f"{seed}.png")
    assert automate_train(*flags, "--set", "held_out=2").returncode == 0
    first, second = (path.read_text().split() for path in sorted((tmp_path / "out").rglob("seen.txt")))
    assert len(first) == 8 and len(second) == 14
    stems = {name.split(".")[0] for name in held_out}
    assert not stems & {name.split(".")[0] for name in (*first, *second)}
    assert {each["name"] for each in json.loads(file.read_text())["pictures"]} == held_out
    refused = automate_train(*flags, "--set", "held_out=3")
    assert refused.returncode == 2
    assert "held_out: runs of this sweep have been trained with held_out 2" in refused.stderr


def test_it_costs_nothing_to_say_that_it_is_wrong(flags, automate_train, tmp_path):
    for value, text in (
        ("6", "none would be left to train on"),
        ("nowhere", "there is no folder"),
        ("true", "needs a"),
    ):
        done = automate_train(*flags, "--set", f"held_out={value}")
        assert done.returncode == 2 and done.stderr.count("held_out") == 1 and text in done.stderr, done.stderr
    assert not (tmp_path / "out").exists()


def test_the_built_in_trainer_never_reads_one(automate_train, tmp_path):
    """Run for real: the metadata of its LoRA says how many pictures it has seen."""
    pytest.importorskip("torch")
    (tmp_path / "3_boat").mkdir()
    for seed in range(5):
        saved(draw(seed, 64), tmp_path / "3_boat" / f"{seed}.png")
        (tmp_path / "3_boat" / f"{seed}.txt").write_text("boat")
    keys = {"project_name_base": "p", "temp_dir": "out", "repo_dir": "tiny", "images_folder": ".", "resolution": 32,
            "network_dim": 2, "epoch_num": 1, "unet_lr": 1e-3, "held_out": 1, "launcher": "python",
            "mixed_precision": "no", "cache_latents_to_disk": True}  # fmt: skip
    (tmp_path / "d.json").write_text(json.dumps(keys))
    (tmp_path / "t.json").write_text("{}")
    done = automate_train(
        "--default_config_path", "d.json", "--tuning_config_path", "t.json", "--cpu", "1", seconds=300
    )
    assert done.returncode == 0, done.stderr + done.stdout
    (links,) = (tmp_path / "out/datasets").glob("*/3_boat")
    assert len(list(links.glob("*.png"))) == 4 and len(list(links.glob("*.npz"))) == 4
    assert not list((tmp_path / "3_boat").glob("*.npz"))
    (lora,) = (tmp_path / "out/p").glob("*/attempt-1/output/*.safetensors")
    head = lora.read_bytes()[8:]
    meta = json.loads(head[: int.from_bytes(lora.read_bytes()[:8], "little")])["__metadata__"]
    assert meta["ss_num_train_images"] == "12", {key: meta[key] for key in meta if "num" in key}
