"""KEYS.md, table 3: the dataset TOML that is made from images_folder and its options."""

from __future__ import annotations

from pathlib import Path

import pytest
from sd_scripts_kit import Bench, make_pictures

from automate_train.config.key_sets import DATASET
from automate_train.trainers.sd_scripts import image_files
from automate_train.trainers.sd_scripts.dataset import TYPES, bucket_defaults, typed


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def test_every_dataset_key_has_a_type():
    assert TYPES.keys() >= DATASET


def test_a_folder_of_pictures_is_one_subset(bench):
    assert bench.dataset({"resolution": 768, "num_repeats": 15, "shuffle_caption": True, "keep_tokens": 1}) == {
        "general": {
            "resolution": 768,
            "shuffle_caption": True,
            "keep_tokens": 1,
            "enable_bucket": True,
            "min_bucket_reso": 320,
            "max_bucket_reso": 1280,
            "bucket_reso_steps": 64,
            "caption_extension": ".txt",
        },
        "datasets": [{"subsets": [{"image_dir": str(bench.pictures), "num_repeats": 15}]}],
    }


@pytest.mark.parametrize(
    ("given", "written"),
    [(768, 768), ("768", 768), ("768,768", 768), ("768, 512", [768, 512]), ([768, 512], [768, 512]), (768.0, 768)],
)
def test_resolutions(bench, given, written):
    assert bench.dataset({"resolution": given})["general"]["resolution"] == written


@pytest.mark.parametrize(
    ("resolution", "low", "high"),
    [(640, 256, 1024), (641, 320, 1280), (512, 256, 1024), (64, 64, 1024), (100, 64, 1024), (1536, 320, 1536),
     ([512, 1088], 256, 1088), (40, 40, 1024)],
)  # fmt: skip
def test_buckets_that_upstream_accepts_at_every_resolution(resolution, low, high):
    assert bucket_defaults(resolution) == {"min_bucket_reso": low, "max_bucket_reso": high, "bucket_reso_steps": 64}


def test_bucket_options_win_over_the_defaults(bench):
    general = bench.dataset({"enable_bucket": False})["general"]
    assert general["enable_bucket"] is False and "min_bucket_reso" not in general
    general = bench.dataset({"min_bucket_reso": 128, "bucket_reso_steps": 32, "bucket_no_upscale": "true"})["general"]
    assert (general["min_bucket_reso"], general["bucket_reso_steps"], general["bucket_no_upscale"]) == (128, 32, True)


@pytest.mark.parametrize(
    ("key", "given", "written"),
    [
        ("face_crop_aug_range", "1.0,3.0", [1.0, 3.0]),
        ("face_crop_aug_range", [1, 3], [1.0, 3.0]),
        ("caption_dropout_rate", 0, 0.0),
        ("validation_split", "0", 0.0),
        ("token_warmup_step", 1, 1.0),
        ("flip_aug", "false", False),
        ("num_repeats", "3", 3),
        ("caption_prefix", 5, "5"),
        ("custom_attributes", {"a": {"b": 1}}, {"a": {"b": 1}}),
    ],
)
def test_values_have_the_schemas_types(key, given, written):
    found, message = typed(key, given)
    assert message is None and found == written and type(found) is type(written)


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"resolution": "big"}, "resolution: needs 768 or 768,768, not 'big'"),
        ({"resolution": [1, 2, 3]}, "resolution: needs 768"),
        ({"resolution": [None, None]}, "resolution: needs 768"),
        ({"resolution": -5}, "resolution: must be above 0"),
        ({"face_crop_aug_range": "3,1"}, "face_crop_aug_range: needs the smaller number first"),
        ({"face_crop_aug_range": 2}, "face_crop_aug_range: needs two numbers like 1.0,3.0"),
        ({"shuffle_caption": "yes"}, "shuffle_caption: is a switch"),
        ({"num_repeats": "often"}, "num_repeats: needs a whole number"),
        ({"custom_attributes": 3}, "custom_attributes: needs an object"),
        ({"resolution": None}, "the dataset has no resolution"),
        ({"images_folder": ""}, "images_folder: is not given"),
        ({"images_folder": "/nowhere/pictures"}, "images_folder: there is no folder /nowhere/pictures"),
        ({"images_folder": {"a": 1}}, "images_folder: needs a text"),
    ],
)
def test_wrong_values_are_named(bench, keys, says):
    assert f"{says}" in "\n".join(bench.errors(keys))


def test_relative_folders_count_from_where_the_command_is_typed(bench, monkeypatch):
    monkeypatch.chdir(bench.folder)
    subset = bench.dataset({"images_folder": "pictures"})["datasets"][0]["subsets"][0]
    assert subset["image_dir"] == str(bench.pictures)


# folders called 10_name


def test_sub_folders_are_read_as_sd_scripts_reads_them(bench, tmp_path):
    for name in ("10_blue boat", "3_a_b", "7", "0_none", "other"):
        make_pictures(tmp_path / "set" / name)
    subsets = bench.dataset({"images_folder": str(tmp_path / "set")})["datasets"][0]["subsets"]
    assert [(Path(s["image_dir"]).name, s["num_repeats"], s.get("class_tokens")) for s in subsets] == [
        ("10_blue boat", 10, "blue boat"),
        ("3_a_b", 3, "a_b"),
        ("7", 7, None),
    ]
    found = bench.errors({"images_folder": str(tmp_path / "set"), "num_repeats": 4})
    assert "num_repeats: has no effect: the sub-folders' names say how often" in str(found)


def test_the_folder_itself_may_be_called_15_boy(bench, tmp_path):
    folder = make_pictures(tmp_path / "15_boy")
    subset = bench.dataset({"images_folder": f"{folder}/"})["datasets"][0]["subsets"][0]
    assert subset == {"image_dir": str(folder), "num_repeats": 15, "class_tokens": "boy"}
    subset = bench.dataset({"images_folder": str(folder), "num_repeats": 2, "class_tokens": "man"})["datasets"][0][
        "subsets"
    ][0]
    assert subset == {"image_dir": str(folder), "num_repeats": 2, "class_tokens": "man"}


def test_pictures_beside_sub_folders(bench):
    make_pictures(bench.pictures / "10_more")
    subsets = bench.dataset({})["datasets"][0]["subsets"]
    assert [s["image_dir"] for s in subsets] == [str(bench.pictures)]
    assert "the sub-folders are not read" in str(bench.problems({}))


def test_the_trainers_own_names_for_datasets(bench, tmp_path):
    make_pictures(tmp_path / "train" / "5_cat")
    make_pictures(tmp_path / "reg" / "1_cat")
    keys = {"images_folder": None, "train_data_dir": str(tmp_path / "train"), "reg_data_dir": str(tmp_path / "reg")}
    subsets = bench.dataset(keys)["datasets"][0]["subsets"]
    assert [(s["num_repeats"], s.get("is_reg")) for s in subsets] == [(5, None), (1, True)]
    assert "train_data_dir" not in bench.training(keys)
    assert "needs a folder that holds sub-folders like 1_name" in str(bench.errors({**keys, "reg_data_dir": "x"}))
    metadata = tmp_path / "meta.json"
    metadata.write_text("{}", encoding="utf-8")
    assert bench.dataset({"in_json": str(metadata)})["datasets"][0]["subsets"] == [
        {"metadata_file": str(metadata), "image_dir": str(bench.pictures)}
    ]


def test_of_two_names_for_one_thing_the_later_layer_counts(bench, tmp_path):
    make_pictures(tmp_path / "train" / "5_cat")
    keys = {"train_data_dir": str(tmp_path / "train")}
    assert bench.dataset(keys)["datasets"][0]["subsets"][0]["num_repeats"] == 5
    assert bench.dataset({"images_folder": str(bench.pictures)}, keys | {"images_folder": None}) == bench.dataset({})
    assert "means the same as" in str(bench.errors({**keys, "images_folder": str(bench.pictures)}))


# captions


def test_captions_decide_their_extension(bench, tmp_path):
    make_pictures(tmp_path / "c", ending=".caption")
    assert bench.dataset({"images_folder": str(tmp_path / "c")})["general"]["caption_extension"] == ".caption"
    make_pictures(tmp_path / "n", captions=0)
    assert "caption_extension" not in bench.dataset({"images_folder": str(tmp_path / "n")})["general"]
    assert "none of the 3 images" in str(bench.errors({"images_folder": str(tmp_path / "n")}))
    assert bench.errors({"images_folder": str(tmp_path / "n"), "class_tokens": "boat"}) == []
    assert "none of the 3 images" in str(bench.errors({"caption_extension": ".tags"}))


def test_some_missing_captions_are_counted(bench, tmp_path):
    make_pictures(tmp_path / "some", count=5, captions=2)
    found = bench.problems({"images_folder": str(tmp_path / "some")})
    assert f"warning images_folder: 3 of 5 images of {tmp_path / 'some'} have no caption: they train on an empty" in (
        "\n".join(found)
    )


def test_captions_that_stop_the_trainer(bench):
    (bench.pictures / "00.txt").write_bytes(b"")
    (bench.pictures / "01.txt").write_bytes("caf\xe9".encode("latin-1"))
    assert f"2 captions are empty or not in UTF-8, which stops the trainer: {bench.pictures}/00.txt" in str(
        bench.errors({})
    )


def test_a_face_box_in_the_name_is_left_out_for_the_caption(tmp_path):
    folder = make_pictures(tmp_path / "a_b_c_d", count=0)
    (folder / "face_1_2_3_4.png").write_bytes(b"x")
    (folder / "face.txt").write_text("a face", encoding="utf-8")
    (folder / "plain.png").write_bytes(b"x")
    assert image_files.listing(str(folder)).captions(".txt") == {"face_1_2_3_4.png": "face.txt"}


def test_images_that_cannot_be_read(bench):
    (bench.pictures / "00.png").write_bytes(b"")
    (bench.pictures / "09.jpg").symlink_to("/nowhere.jpg")
    assert f"2 of 4 images of {bench.pictures} cannot be read: 00.png is empty, " in str(bench.errors({}))


def test_a_folder_without_images(bench, tmp_path):
    (tmp_path / "empty" / "photos").mkdir(parents=True)
    (tmp_path / "empty" / "x.Png").touch()
    found = str(bench.errors({"images_folder": str(tmp_path / "empty")}))
    assert "contains no images (png, jpg, webp, bmp); its sub-folders (photos) would need names like 10_name" in found
    assert "is not a folder" in str(bench.errors({"images_folder": str(bench.model)}))


def test_a_folder_is_looked_at_again_after_a_change(bench):
    assert bench.errors({}) == []
    for file in bench.pictures.iterdir():
        file.unlink()
    assert "contains no images" in str(bench.errors({}))


# masks


def test_masks_upstream_want_a_partner_for_each_image_and_no_class(bench, tmp_path):
    make_pictures(tmp_path / "set" / "15_boy")
    masks = make_pictures(tmp_path / "masks" / "15_boy", count=2, captions=0)
    keys = {"images_folder": str(tmp_path / "set"), "mask_loss": True, "mask_dir": str(tmp_path / "masks")}
    subset = bench.dataset(keys)["datasets"][0]["subsets"][0]
    assert subset["conditioning_data_dir"] == str(masks) and "class_tokens" not in subset
    assert "mask_dir: 1 images have no mask of their name" in str(bench.errors(keys))
    for name in ("02.png", "zz.png"):
        (masks / name).write_bytes(b"mask")
    assert f"mask_dir: 1 masks have no image of their name: {masks}/zz" in str(bench.errors(keys))
    (masks / "zz.png").unlink()
    assert bench.errors(keys) == []
    assert "masks and alpha_mask exclude each other" in str(bench.errors({**keys, "alpha_mask": True}))
    assert "there is no mask folder /no/masks" in str(bench.errors({**keys, "mask_dir": "/no/masks"}))
