"""KEYS.md, table 3: `custom_dataset`, a dataset TOML of the user's own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import toml
from sd_scripts_kit import Bench, make_pictures


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


SEED = """
[[datasets]]

    [[datasets.subsets]]
    num_repeats = 200
    image_dir = "images"
    class_tokens = "arisu"
    mask_dir ="masks"

[general]
resolution = 768
shuffle_caption = true
keep_tokens = 0
flip_aug = false
caption_extension = ".txt"
enable_bucket = true
bucket_reso_steps = 64
bucket_no_upscale = false
min_bucket_reso = 320
max_bucket_reso = 1280
"""
ALONE = {"images_folder": None, "resolution": None}


@pytest.fixture
def custom(bench, tmp_path):
    """(bench, write): `write(text)` puts a dataset TOML beside images/ and masks/; returns its keys for a config."""
    make_pictures(tmp_path / "data" / "images")
    make_pictures(tmp_path / "data" / "masks", captions=0)

    def write(text, name="dataset.toml"):
        (tmp_path / "data" / name).write_text(text, encoding="utf-8")
        return {"custom_dataset": str(tmp_path / "data" / name), **ALONE}

    return bench, write


def test_the_seeds_dataset_is_copied_with_absolute_paths(custom, tmp_path):
    bench, write = custom
    keys = write(SEED)
    dataset = bench.dataset(keys)
    assert dataset["general"] == toml.loads(SEED)["general"]
    assert dataset["datasets"] == [
        {"subsets": [{"num_repeats": 200, "image_dir": str(tmp_path / "data/images"), "class_tokens": "arisu"}]}
    ]
    assert "mask_dir is dropped: mask_loss is off" in str(bench.problems(keys))
    subset = bench.dataset({**keys, "mask_loss": True})["datasets"][0]["subsets"][0]
    assert subset["conditioning_data_dir"] == str(tmp_path / "data/masks") and "class_tokens" not in subset
    assert bench.errors(keys) == [] == bench.errors({**keys, "mask_loss": True})


def test_the_file_may_be_json_or_go_by_the_trainers_name(custom):
    bench, write = custom
    keys = write(json.dumps(toml.loads(SEED)), "dataset.json")
    assert bench.dataset(keys)["general"]["resolution"] == 768
    keys["dataset_config"] = keys.pop("custom_dataset")
    assert bench.dataset(keys)["general"]["resolution"] == 768


def test_a_sweep_over_datasets(custom):
    bench, write = custom
    first, second = write(SEED, "a.toml"), write(SEED.replace("768", "512"), "b.toml")
    runs = bench.runs({**ALONE, "custom_dataset_list": [first["custom_dataset"], second["custom_dataset"]]})
    assert len(runs) == 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[general\n", "is not valid TOML"),
        ("a = 1\n", "[a] is unknown"),
        ("[general]\nresolution = 512\n", "has no [[datasets]]"),
        ("[[datasets]]\nresolution = 512\n", "a dataset has no [[datasets.subsets]]"),
        (SEED.replace("shuffle_caption", "shuffle_captions"), "[general] shuffle_captions is unknown: did you mean"),
        (SEED.replace("num_repeats = 200", "num_repeats = 'x'"), "num_repeats needs a whole number"),
        (SEED.replace('image_dir = "images"', "resolution = 5"), "resolution is unknown: it is a key of another table"),
        (SEED.replace('image_dir = "images"', ""), "a subset has no image_dir"),
        (SEED.replace('"images"', '"imgs"'), "there is no folder"),
        (SEED.replace("resolution = 768\n", ""), "the dataset has no resolution"),
        ("general = 3\n[[datasets]]\n", "[general] is not a table"),
        ("datasets = [1]\n", "[[datasets]] is not a table"),
    ],
)
def test_a_broken_dataset_file_is_one_sentence(custom, text, says):
    bench, write = custom
    assert says in str(bench.errors(write(text)))


@pytest.mark.parametrize("path", ["/nowhere/x.toml", "/", 5, ["x"]])
def test_a_dataset_file_that_is_none(bench, path):
    found = bench.errors({"custom_dataset": path, **ALONE})
    assert "cannot be read" in str(found) or "needs the path of a dataset TOML" in str(found)


@pytest.mark.parametrize(
    "key", ["resolution", "num_repeats", "flip_aug", "images_folder", "mask_dir", "train_data_dir"]
)
def test_a_dataset_option_over_the_file_is_an_error(custom, key):
    """Given in a later layer, it is wanted; in the same one or below, it is left over from before, and a note."""
    bench, write = custom
    value = {"resolution": 512, "num_repeats": 3, "flip_aug": True}.get(key, str(bench.pictures))
    keys = write(SEED)
    text = f"{key}: has no effect together with custom_dataset (write it into"
    assert f"error {text}" in str(bench.errors({key: value}, keys))
    assert bench.errors({**keys, key: value}) == []
    assert f"warning {text}" in str(bench.problems({**keys, key: value}))


def test_the_seeds_default_file_may_stand_below_a_dataset_file(custom):
    bench, write = custom
    five = {"face_crop_aug_range": "2.0,3.0", "num_repeats": 15, "resolution": "768,768", "random_crop": False}
    file = write(SEED)["custom_dataset"]
    assert bench.errors({"custom_dataset": file}, {**five, "images_folder": ""}) == []
    found = bench.errors({"custom_dataset": file, "num_repeats_list": [1, 2]}, {**five, "images_folder": ""})
    assert "error num_repeats: varies in this sweep and has no effect: custom_dataset decides" in str(found)


def test_what_is_so_anyway_may_stand_beside_the_file(custom):
    bench, write = custom
    assert bench.errors({**write(SEED), "enable_bucket": True, "flip_aug": False, "bucket_reso_steps": 64}) == []


def test_a_batch_size_that_the_file_overrides_is_an_error(custom):
    bench, write = custom
    keys = write(SEED.replace("resolution = 768", "resolution = 768\nbatch_size = 4"))
    assert "train_batch_size: has no effect" in str(bench.errors({**keys, "train_batch_size": 2}))
    assert bench.errors({**keys, "train_batch_size": 4}) == []
    assert "batch_size" not in bench.dataset({"train_batch_size": 2})["general"]  # ours follows the trainer's


def test_the_file_is_read_again_after_a_change(custom):
    bench, write = custom
    keys = write(SEED)
    assert bench.dataset(keys)["general"]["resolution"] == 768
    file = Path(keys["custom_dataset"])
    shutil.copy(file, f"{file}.old")
    file.write_text(SEED.replace("768", "512"), encoding="utf-8")
    assert bench.dataset(keys)["general"]["resolution"] == 512
