"""Held-out pictures are physically absent from what a run is started on, whatever the dataset's shape and trainer."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest
import toml
from sd_scripts_kit import Bench, attempt_of, make_pictures, make_runs, script

from automate_train.errors import UserError
from automate_train.records import SweepContext
from automate_train.trainers import command, sd_scripts
from automate_train.training import latents_cache


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def hold_out(bench: Bench, *paths: Path) -> None:
    bench.context = bench.context._replace(held_out=frozenset(map(str, paths)))


def started_on(launch: Any, key: str = "image_dir") -> list[list[str]]:
    """What lies in each subset's folder once the links are made."""
    for cache in launch.caches:
        latents_cache.link(cache)
    subsets = [each for dataset in toml.loads(launch.files["dataset.toml"])["datasets"] for each in dataset["subsets"]]
    return [sorted(os.listdir(subset[key])) for subset in subsets]


OTHERS = ["00.png", "00.txt", "02.png", "02.txt"]


def test_a_plain_folder(bench):
    (bench.pictures / "01_0512x0512_sd.npz").write_bytes(b"latents of the held-out picture")
    hold_out(bench, bench.pictures / "01.png")
    launch = bench.prepare({})
    assert started_on(launch) == [OTHERS] and not launch.caches[0].fills


def test_a_folder_without_held_out_pictures_is_the_users_own(bench):
    hold_out(bench, bench.folder / "elsewhere" / "01.png")
    launch = bench.prepare({})
    assert launch.caches == () and f'image_dir = "{bench.pictures}"' in launch.files["dataset.toml"]


def test_with_cached_latents_both_ask_for_one_folder(bench):
    without = bench.prepare({"cache_latents_to_disk": True}).caches[0].path
    hold_out(bench, bench.pictures / "01.png")
    launch = bench.prepare({"cache_latents_to_disk": True})
    assert started_on(launch) == [OTHERS]
    assert len(launch.caches) == 1 and launch.caches[0].fills and launch.caches[0].path != without


def test_sub_folders_with_repeats(bench, tmp_path):
    for name in ("10_a", "5_b"):
        make_pictures(tmp_path / "set" / name)
    hold_out(bench, tmp_path / "set/5_b/01.png")
    for key in ("images_folder", "train_data_dir"):
        keys = {key: str(tmp_path / "set"), **({} if key == "images_folder" else {"images_folder": None})}
        launch = bench.prepare(keys)
        assert started_on(launch) == [["00.png", "00.txt", "01.png", "01.txt", "02.png", "02.txt"], OTHERS]
        subsets = toml.loads(launch.files["dataset.toml"])["datasets"][0]["subsets"]
        assert [each["num_repeats"] for each in subsets] == [10, 5] and subsets[1]["image_dir"].endswith("/5_b")


def test_the_users_own_dataset_with_one_folder_at_two_resolutions(bench, tmp_path):
    (tmp_path / "link").symlink_to(bench.pictures)
    regular = make_pictures(tmp_path / "regular")
    document = {
        "datasets": [
            {"resolution": 512, "subsets": [{"image_dir": str(bench.pictures), "caption_extension": ".txt"}]},
            {"resolution": 768, "subsets": [
                {"image_dir": str(tmp_path / "link"), "caption_extension": ".txt"},
                {"image_dir": str(regular), "is_reg": True, "caption_extension": ".txt"},
            ]},
        ]
    }  # fmt: skip
    (tmp_path / "d.toml").write_text(toml.dumps(document), encoding="utf-8")
    keys = {"images_folder": None, "resolution": None, "custom_dataset": str(tmp_path / "d.toml")}
    hold_out(bench, bench.pictures / "01.png", regular / "00.png")
    all_six = ["00.png", "00.txt", "01.png", "01.txt", "02.png", "02.txt"]
    assert started_on(bench.prepare(keys)) == [OTHERS, OTHERS, all_six]
    found = sd_scripts.training_pictures(bench.run(keys), bench.context)
    assert [each.regular for each in found] == [False, False, True]
    assert found[0].captions["01.png"] == str(bench.pictures / "01.txt")


def test_masks_go_with_their_pictures(bench, tmp_path):
    masks = make_pictures(tmp_path / "pictures_of_masks", captions=0)
    hold_out(bench, bench.pictures / "01.png")
    keys = {"mask_loss": True, "mask_dir": str(masks)}
    launch = bench.prepare(keys)
    assert started_on(launch, "conditioning_data_dir") == [["00.png", "02.png"]]
    assert bench.errors(keys) == []


def test_steps_are_counted_without_them(bench):
    (bench.repo / "train_network.py").write_text(script(warmup="int"), encoding="utf-8")
    keys = {"epoch_num": 10, "lr_warmup_ratio": 0.5, "lr_scheduler": "cosine", "train_batch_size": 1}
    assert bench.training(keys)["lr_warmup_steps"] == 15
    hold_out(bench, bench.pictures / "01.png")
    assert bench.training(keys)["lr_warmup_steps"] == 10


def test_a_metadata_file_is_refused_in_words(bench, tmp_path):
    (tmp_path / "m.json").write_text("{}", encoding="utf-8")
    with pytest.raises(UserError, match="only the trainer reads it"):
        sd_scripts.training_pictures(bench.run({"in_json": str(tmp_path / "m.json")}), bench.context)


LIST = (sys.executable, "-c", "import os, sys; print(sorted(os.listdir(sys.argv[1])))", "{images_folder}")


def test_another_program_gets_links_to_whatever_lies_there(tmp_path):
    pictures = make_pictures(tmp_path / "data", captions=2)
    make_pictures(pictures / "sub")
    for name in ("01.json", "01.mask.json", "01.npz", "00.npz", "01.b.png", "notes.md"):
        (pictures / name).write_text("x")
    context = SweepContext(str(tmp_path / "out"), "p", held_out=frozenset({str(pictures / "01.png")}))
    (run,) = make_runs({"trainer": "command", "command": LIST, "images_folder": str(pictures)})
    found = command.training_pictures(run, context)
    assert [each.path for each in found] == [str(pictures), str(pictures / "sub")]
    assert found[0].captions["00.png"] == str(pictures / "00.txt") and found[0].captions["02.png"] == ""
    launch = command.prepare(run, attempt_of(run, context), context)
    (links,) = launch.caches
    latents_cache.link(links)
    assert launch.argv[-1] == links.path and not links.fills
    there = sorted(str(path.relative_to(links.path)) for path in Path(links.path).rglob("*") if path.is_file())
    assert [name for name in there if os.sep not in name] == ["00.png", "00.txt", "01.b.png", "02.png", "notes.md"]
    assert len(there) == 5 + 6


def test_folders_behind_links_are_part_of_what_lies_there(tmp_path):
    elsewhere = make_pictures(tmp_path / "elsewhere")
    root = tmp_path / "data"
    root.mkdir()
    (root / "10_boat").symlink_to(elsewhere)
    (elsewhere / "round").symlink_to(root)
    context = SweepContext(str(tmp_path / "out"), "p", held_out=frozenset({str(elsewhere / "00.png")}))
    (run,) = make_runs({"trainer": "command", "command": LIST, "images_folder": str(root)})
    found = command.training_pictures(run, context)
    assert found[0].path == str(root / "10_boat") and len(found[0].captions) == 3
    links = command.prepare(run, attempt_of(run, context), context).caches[0].links
    assert "10_boat/01.png" in links and not any(name.endswith("00.png") for name in links)


def test_a_program_that_is_not_told_of_the_folder_is_refused(tmp_path):
    for keys in ({"images_folder": str(tmp_path)}, {"command": LIST, "images_folder": None}, {}):
        (run,) = make_runs({"trainer": "command", "command": ["/bin/echo"], **keys})
        with pytest.raises(UserError, match="needs images_folder, and"):
            command.training_pictures(run, SweepContext(str(tmp_path), "p"))


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"model_type": "flux"}, "flux_train_network.py are not measured"),
        ({"model_type": "sd3", "judge": "beside"}, "sd3_train_network.py are not measured"),
        ({}, "older sd-scripts"),
        ({"model_type": "flux", "judge": "off"}, ""),
        ({"model_type": "flux", "held_out": None}, ""),
    ],
)
def test_what_cannot_be_judged_is_refused_before_it_is_trained(bench, keys: dict[str, Any], says: str):
    found = [each for each in bench.errors({"held_out": 1, **keys}) if "held_out" in each]
    assert len(found) == bool(says) and all(says in each and '"judge" to "off"' in each for each in found), found


def test_what_can_be_judged_is_not_refused(bench):
    with (bench.repo / "train_network.py").open("a", encoding="utf-8") as file:
        file.write("\n\nclass NetworkTrainer:\n    def get_noise_pred_and_target(self): ...\n")
    assert [each for each in bench.errors({"held_out": 1}) if "held_out" in each] == []
    assert [each for each in bench.errors({"held_out": 1, "sdxl": True}) if "held_out" in each] == []
