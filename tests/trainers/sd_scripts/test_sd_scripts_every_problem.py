"""Every problem at once: what can be seen without the trainer is seen without it; limits of values; W&B's key."""

from __future__ import annotations

import pytest
from sd_scripts_kit import Bench, make_repo, safetensors


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def keys_of(found: list[str]) -> list[str]:
    return [text.split()[1].rstrip(":") for text in found]


def test_a_missing_repo_hides_no_other_problem(bench, tmp_path):
    (tmp_path / "p.txt").write_text("a boat --z 1\nfine --w 512\nanother --y 2\n", encoding="utf-8")
    wrong = {
        "repo_dir": str(tmp_path / "no-repo"),
        "model_file": str(tmp_path / "none.safetensors"),
        "images_folder": str(tmp_path / "no-pictures"),
        "log_with": "tensorboard",
        "log_tracker_config_template": str(tmp_path / "none.toml"),
        "prompt_path": str(tmp_path / "p.txt"),
        "venv_path": str(tmp_path / "no-venv"),
    }
    found = bench.errors(wrong)
    expected = {"repo_dir", "model_file", "images_folder", "log_tracker_config_template", "prompt_path", "venv_path"}
    assert set(keys_of(found)) == expected
    assert "p.txt:1" in str(found) and "p.txt:3" in str(found), "every line that is wrong"
    assert keys_of(bench.errors({**wrong, "repo_dir": None}))[0] == "repo_dir"


def test_a_missing_repo_is_the_only_problem_of_a_sound_sweep(bench, tmp_path):
    keys = {
        "lora_type": "LoCon",
        "conv_dim": 4,
        "gor_regularization": True,
        "noise_offset": 0.1,
        "clip_skip": 2,
        "mask_loss": True,
        "mask_dir": str(tmp_path),
    }
    assert keys_of(bench.problems({**keys, "repo_dir": str(tmp_path / "none")})) == ["repo_dir"]
    (bench.repo / "train_network.py").write_text("import nothing\n", encoding="utf-8")
    assert len(bench.problems(keys)) == 1


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("epoch_num", 0, "must be 1 or more, not 0"),
        ("network_dim", 0, "must be 1 or more, not 0"),
        ("train_batch_size", -1, "must be 1 or more, not -1"),
        ("save_every_n_epochs", 0, "must be 1 or more, not 0"),
        ("save_every_n_steps", "0", "must be 1 or more, not 0"),
        ("unet_lr", -1e-4, "must be 0 or more, not -0.0001"),
        ("learning_rate", -1, "must be 0 or more, not -1"),
        ("text_encoder_lr", [1e-5, -1e-5], "must be 0 or more, not -1e-05"),
        ("caption_dropout_rate", 3, "must be 0 to 1, not 3"),
        ("seed", -5, "must be 0 to 4294967295, not -5"),
        ("seed", 2**32, "must be 0 to 4294967295, not 4294967296"),
        ("keep_tokens", -1, "must be 0 or more, not -1"),
        ("num_repeats", 0, "must be 1 or more, not 0"),
        ("gradient_accumulation_steps", 0, "must be 1 or more, not 0"),
    ],
)
def test_values_out_of_range(bench, key, value, says):
    assert any(text.startswith(f"error {key}: {says}") for text in bench.errors({key: value})), bench.errors(
        {key: value}
    )


def test_values_at_the_ends_of_their_ranges(bench):
    keys = {"epoch_num": 1, "network_dim": 1, "seed": 0, "caption_dropout_rate": 1, "keep_tokens": 0, "unet_lr": 0}
    assert bench.errors(keys) == []


def test_wandb_needs_a_key_or_a_login(bench, tmp_path, monkeypatch):
    for name in ("WANDB_API_KEY", "WANDB_MODE", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))

    def told(**more: str) -> bool:
        return "wandb login" in str(bench.errors({"log_with": "wandb", **more}))

    assert told() and not told(wandb_api_key="0123") and not told(log_with="tensorboard")
    for name, value in (("WANDB_API_KEY", "0123"), ("WANDB_MODE", "offline"), ("WANDB_MODE", "disabled")):
        with monkeypatch.context() as patched:
            patched.setenv(name, value)
            assert not told()
    (tmp_path / ".netrc").write_text("machine github.com\n  login a\n  password b\n")
    assert told()
    (tmp_path / ".netrc").write_text("machine api.wandb.ai\n  login user\n  password 0123\n")
    assert not told()


@pytest.mark.parametrize(
    ("axis", "more", "why"),
    [
        ({"max_train_steps_list": [10, 20]}, {"epoch_num": 2}, "epoch_num decides"),
        ({"learning_rate_list": [1e-4, 2e-4]}, {"unet_lr": 1e-4, "text_encoder_lr": 1e-5}, "unet_lr and"),
        ({"face_crop_aug_range_list": ["1.0,2.0", "1.0,3.0"]}, {"cache_latents": False}, "enable_bucket"),
        ({"bucket_no_upscale_list": [True, False]}, {"enable_bucket": False}, "enable_bucket"),
        ({"min_bucket_reso_list": [64, 128]}, {"bucket_no_upscale": True}, "bucket_no_upscale"),
        ({"keep_tokens_list": [0, 1]}, {}, "shuffle_caption"),
        ({"text_encoder_lr_list": [1e-5, 2e-5]}, {"network_train_unet_only": True}, "network_train_unet_only"),
    ],
)
def test_an_axis_without_effect(bench, axis, more, why):
    (key,) = axis
    found = bench.errors({**axis, **more})
    assert len(found) == 1 and found[0].startswith(f"error {key.removesuffix('_list')}: ") and why in found[0]
    one = {key.removesuffix("_list"): axis[key][0], **more}
    assert not any("no effect" in text for text in bench.errors(one)), "a constant beside it is harmless"


@pytest.mark.parametrize(
    "keys",
    [
        {"max_train_steps_list": [10, 20]},
        {"learning_rate_list": [1e-4, 2e-4], "unet_lr": 1e-4},
        {"face_crop_aug_range_list": ["1.0,2.0", "1.0,3.0"], "cache_latents": False, "enable_bucket": False},
        {"bucket_no_upscale_list": [True, False]},
        {"keep_tokens_list": [0, 1], "shuffle_caption": True},
        {"keep_tokens_list": [0, 1], "shuffle_caption_list": [True, False]},
    ],
)
def test_an_axis_with_effect(bench, keys):
    assert all(bench_errors(bench, run) == [] for run in bench.runs(keys)[:1])


def bench_errors(bench, run):
    from automate_train.preflight import checks

    return [problem for problem in checks.of_run(run, bench.context) if problem.severity == "error"]


def test_a_forks_regularization_that_crashes_is_said(bench, tmp_path):
    options = '    parser.add_argument("--gor_regularization", type=bool, default=False)\n'
    fork = make_repo(tmp_path / "fork", options)
    found = bench.problems({"repo_dir": str(fork), "gor_regularization": True})
    assert len(found) == 1 and found[0].startswith("warning gor_regularization: ") and "crashes" in found[0]
    assert bench.problems({"repo_dir": str(fork), "gor_regularization": False}) == []


def test_a_forks_masks_need_their_suffix(bench, tmp_path):
    fork = make_repo(tmp_path / "fork", '    parser.add_argument("--mask_loss", type=bool, default=False)\n')
    masks = tmp_path / "masks"
    masks.mkdir()
    (masks / "00.png").write_bytes(b"x")
    keys = {"repo_dir": str(fork), "mask_loss": True, "mask_dir": str(masks)}
    assert "_mask" in str(bench.errors(keys))
    (masks / "00_face_mask.png").write_bytes(b"x")
    assert bench.errors(keys) == [] and "2 of 3 images have no mask" in str(bench.problems(keys))
    for name in ("01_mask.png", "02_mask.png"):
        (masks / name).write_bytes(b"x")
    assert bench.problems(keys) == []
    assert bench.errors({**keys, "mask_loss": False}) == []


MODELS = {
    "sd1": "cond_stage_model.transformer.text_model.embeddings.position_ids",
    "sd2": "cond_stage_model.model.transformer.resblocks.0.ln_1.bias",
    "sdxl": "conditioner.embedders.1.model.ln_final.bias",
    "sd3": "model.diffusion_model.joint_blocks.0.x_block.attn.proj.bias",
    "flux": "double_blocks.0.img_attn.proj.bias",
    "lora": "lora_unet_down_blocks_0.alpha",
}


@pytest.fixture
def model(tmp_path):
    def make(family: str) -> str:
        path = tmp_path / f"{family}.safetensors"
        path.write_bytes(safetensors({MODELS[family]: ("F16", b"\0\0")}))
        return str(path)

    return make


@pytest.mark.parametrize(
    ("keys", "fits"),
    [({}, "sd1"), ({"sdxl": True}, "sdxl"), ({"model_type": "sd3"}, "sd3"), ({"model_type": "flux"}, "flux")],
)
def test_the_base_model_must_be_of_the_family_that_is_trained(bench, tmp_path, model, keys, fits):
    if keys.get("model_type") == "flux":
        keys = {**keys, **{name: model("sd1") for name in ("ae", "clip_l", "t5xxl")}}
        extra = "".join(f'    parser.add_argument("--{name}", type=str)\n' for name in ("ae", "clip_l", "t5xxl"))
        keys["repo_dir"] = str(make_repo(tmp_path / "flux", extra))
    for family in MODELS:
        found = bench.errors({**keys, "model_file": model(family)})
        if family == fits:
            assert found == []
        else:
            assert len(found) == 1 and found[0].startswith("error model_file: ") and " is a " in found[0], found


def test_the_family_of_a_diffusers_folder(bench, tmp_path):
    folder = tmp_path / "diffusers"
    (folder / "unet").mkdir(parents=True)
    (folder / "unet" / "config.json").write_text('{"cross_attention_dim": 1024}')
    for class_name, fits in (("StableDiffusionPipeline", {"v2": True}), ("StableDiffusionXLPipeline", {"sdxl": True})):
        (folder / "model_index.json").write_text(f'{{"_class_name": "{class_name}"}}')
        repo = str(make_repo(tmp_path / class_name, '    parser.add_argument("--v2", action="store_true")\n'))
        assert bench.errors({"model_file": str(folder), "repo_dir": repo, **fits}) == []
        assert "model_file: " in str(bench.errors({"model_file": str(folder), "repo_dir": repo}))
    for hostile in (
        "[",
        "[1]",
        "{}",
        '{"_class_name": 3}',
        "[" * 100_000,
        '{"a": ' + "9" * 10_000 + "}",
        "x" * 3_000_000,
    ):
        (folder / "model_index.json").write_text(hostile)
        assert bench.errors({"model_file": str(folder)}) == []


def test_a_model_that_is_a_pipe_does_not_hang(bench, tmp_path):
    import os

    os.mkfifo(tmp_path / "pipe.safetensors")
    assert "is not a file" in str(bench.errors({"model_file": str(tmp_path / "pipe.safetensors")}))


def test_flux_needs_its_other_models(bench, tmp_path, model):
    extra = "".join(f'    parser.add_argument("--{name}", type=str)\n' for name in ("ae", "clip_l", "t5xxl"))
    keys = {"model_type": "flux", "model_file": model("flux"), "repo_dir": str(make_repo(tmp_path / "flux", extra))}
    assert keys_of(bench.errors(keys)) == ["ae", "clip_l", "t5xxl"]
    assert keys_of(bench.errors({**keys, "ae": model("sd1")})) == ["clip_l", "t5xxl"]
