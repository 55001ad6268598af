"""Caches on disk: a folder of links for each combination of what a cache depends on; the user's folders stay clean."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import toml
from sd_scripts_kit import Bench, attempt_of, make_pictures

from automate_train.trainers import sd_scripts
from automate_train.training import latents_cache


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


ON = {"cache_latents_to_disk": True}


def path_of(bench, keys, **more):
    launch = bench.prepare({**ON, **keys}, more)
    assert len(launch.caches) == 1
    subset = toml.loads(launch.files["dataset.toml"])["datasets"][0]["subsets"][0]
    assert subset["image_dir"] == launch.caches[0].path
    return launch.caches[0].path


def test_without_caches_on_disk_the_trainer_reads_the_users_folder(bench):
    launch = bench.prepare({"cache_latents": True})
    assert launch.caches == () and f'image_dir = "{bench.pictures}"' in launch.files["dataset.toml"]


def test_a_folder_of_links_to_images_and_captions(bench):
    (bench.pictures / "00_0512x0512_sd.npz").write_bytes(b"old")
    (bench.pictures / "00.npz").write_bytes(b"old")
    (bench.pictures / "notes.md").touch()
    (cache,) = bench.prepare(ON).caches
    path = Path(cache.path)
    assert path.parent.parent == bench.folder / "out" / "datasets" and path.name == "pictures"
    assert dict(cache.links) == {
        name: str(bench.pictures / name) for name in ("00.png", "00.txt", "01.png", "01.txt", "02.png", "02.txt")
    }


def test_nothing_is_written_by_preparing(bench):
    before = sorted(bench.folder.rglob("*"))
    bench.prepare(ON)
    bench.problems(ON)
    assert sorted(bench.folder.rglob("*")) == before


@pytest.mark.parametrize(
    "keys",
    [
        {"resolution": 768},
        {"enable_bucket": False},
        {"min_bucket_reso": 128},
        {"max_bucket_reso": 2048},
        {"bucket_reso_steps": 32},
        {"bucket_no_upscale": True},
        {"flip_aug": True},
        {"alpha_mask": True},
        {"resize_interpolation": "area"},
        {"vae": "stabilityai/sd-vae-ft-mse"},
        {"model_file": "org/other"},
        {"sdxl": True},
    ],
)
def test_what_a_cache_depends_on_gets_a_folder_of_its_own(bench, keys):
    assert path_of(bench, keys) != path_of(bench, {})


@pytest.mark.parametrize(
    "keys",
    [
        {"unet_lr": 1e-3}, {"network_dim": 8}, {"seed": 3}, {"num_repeats": 7}, {"shuffle_caption": True},
        {"keep_tokens": 1}, {"mixed_precision": "bf16"}, {"epoch_num": 3}, {"caption_dropout_rate": 0.1},
    ],
)  # fmt: skip
def test_what_it_does_not_depend_on_shares_it(bench, keys):
    assert path_of(bench, keys) == path_of(bench, {})


def test_the_vae_decides_and_not_the_model_beside_it(bench):
    vae = {"vae": "stabilityai/vae"}
    assert path_of(bench, {**vae, "model_file": "org/other"}) == path_of(bench, vae)


def test_changed_files_get_a_new_folder(bench):
    first = path_of(bench, {})
    assert path_of(bench, {}) == first
    os.utime(bench.pictures / "00.png", ns=(1, 1))
    second = path_of(bench, {})
    (bench.pictures / "07.png").write_bytes(b"new picture")
    third = path_of(bench, {})
    bench.model.write_bytes(bench.model.read_bytes())
    os.utime(bench.model, ns=(5, 5))
    fourth = path_of(bench, {})
    (bench.pictures / "00.txt").write_text("another caption", encoding="utf-8")
    assert path_of(bench, {}) == fourth  # latents do not know captions
    assert len({first, second, third, fourth}) == 4


def test_cached_text_does(bench):
    keys = {"cache_text_encoder_outputs_to_disk": True}

    def path(**more):
        (cache,) = bench.prepare({**keys, **more}).caches
        return cache.path

    first = path()
    assert path(unet_lr=1) == first and path(clip_skip=2) != first and path(caption_prefix="x") != first
    (bench.pictures / "00.txt").write_text("another caption", encoding="utf-8")
    assert path() != first


def test_each_sub_folder_has_its_own_and_keeps_its_name(bench, tmp_path):
    for name in ("10_a", "5_b"):
        make_pictures(tmp_path / "set" / name)
    launch = bench.prepare({**ON, "images_folder": str(tmp_path / "set")})
    assert [Path(cache.path).name for cache in launch.caches] == ["10_a", "5_b"]


def test_what_cannot_be_cached_is_refused(bench, tmp_path):
    assert "random_crop changes images each time" in str(bench.errors({**ON, "random_crop": True}))
    assert "color_aug changes images" in str(bench.errors({"cache_latents": True, "color_aug": True}))
    assert bench.errors({"random_crop": True}) == []
    (tmp_path / "m.json").write_text("{}", encoding="utf-8")
    keys = {**ON, "in_json": str(tmp_path / "m.json")}
    assert "would write among your images" in str(bench.errors(keys))
    found = bench.problems({"face_crop_aug_range": "2.0,3.0"})
    assert "warning face_crop_aug_range: face_crop_aug_range has no effect on cached latents" in str(found)
    assert "face_crop" not in str(bench.problems({"face_crop_aug_range": "1.0,1.0"}))


def test_folders_become_links_and_are_filled_once(bench):
    run = bench.run(ON)
    folder = attempt_of(run, bench.context)
    launch = sd_scripts.prepare(run, folder, bench.context)
    (cache,) = launch.caches
    latents_cache.link(cache)
    assert (Path(cache.path) / "00.png").read_bytes() == (bench.pictures / "00.png").read_bytes()
    assert not latents_cache.is_filled(cache.path)
    latents_cache.mark_filled(cache.path)
    assert latents_cache.is_filled(sd_scripts.prepare(run, folder, bench.context).caches[0].path)
    assert sorted(path.name for path in bench.pictures.iterdir()) == [
        "00.png", "00.txt", "01.png", "01.txt", "02.png", "02.txt",
    ]  # fmt: skip
