"""The built-in trainer, run as a user's sweep runs it: in a process of its own, judged by its files and its lines."""

from __future__ import annotations

import argparse
import importlib
import json
import math
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

TINY = Path(__file__).parents[3] / "automate_train" / "trainers" / "tiny"
QUICKSTART = Path(__file__).parents[3] / "configs" / "quickstart"
TRAINED: dict[str, Any] = {"network_module": "networks.lora", "network_dim": 4, "unet_lr": 3e-3, "seed": 1}


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Import one of the trainer's files by its plain name, as the script does."""
    monkeypatch.syspath_prepend(str(TINY))

    def load(name: str) -> ModuleType:
        return importlib.import_module(name)

    yield load
    for name in ("options", "image_dataset", "base_model", "model", "recipe", "samples", "checkpoints"):
        sys.modules.pop(name, None)


def write_config(folder: Path, options: dict[str, Any], **subset: Any) -> Path:
    """training.toml and dataset.toml over twelve of the quickstart's pictures."""
    (folder / "images").mkdir()
    for file in sorted((QUICKSTART / "images").iterdir())[: 2 * 12]:
        shutil.copy(file, folder / "images")
    subset = {"image_dir": str(folder / "images"), "num_repeats": 1, **subset}
    lines = ["[general]", "resolution = 32", "caption_extension = '.txt'", "[[datasets]]", "batch_size = 2"]
    lines += ["[[datasets.subsets]]", *(f"{key} = {json.dumps(value)}" for key, value in subset.items())]
    (folder / "dataset.toml").write_text("\n".join(lines))
    fixed = {
        "dataset_config": str(folder / "dataset.toml"),
        "output_dir": str(folder / "output"),
        "output_name": "lora",
    }
    merged = {**fixed, "max_train_epochs": 2, "max_data_loader_n_workers": 0, **TRAINED, **options}
    lines = ["[one_section]", *(f"{key} = {json.dumps(value)}" for key, value in merged.items() if value is not None)]
    (folder / "training.toml").write_text("\n".join(lines))
    return folder / "training.toml"


def train(folder: Path, *argv: str, **options: Any) -> subprocess.CompletedProcess[str]:
    config = write_config(folder, options)
    return run("--config_file", str(config), *argv)


def run(*argv: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true", "PYTHONDONTWRITEBYTECODE": "1"}
    env["TQDM_MININTERVAL"] = "0"  # every step's line is drawn
    command = [sys.executable, str(TINY / "train_network.py"), *argv]
    return subprocess.run(command, capture_output=True, text=True, env=env, timeout=120)


def losses(stderr: str) -> list[float]:
    """The average loss after each step, from the progress bar's last drawing of it."""
    found = re.findall(r"^steps: .*?\| (\d+)/\d+ \[.*?avr_loss=([\d.e+-]+|nan|inf)\]", stderr, re.MULTILINE)
    return [float(loss) for loss in {int(step): loss for step, loss in found}.values()]


def opened(file: Path) -> tuple[dict[str, str], dict[str, Any]]:
    from safetensors import safe_open

    with safe_open(str(file), "pt") as lora:
        return lora.metadata(), {name: lora.get_tensor(name) for name in lora.keys()}  # noqa: SIM118


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """One training that most tests look at."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "prompts.txt").write_text("# none\ntinyboat, noon sky --d 5 --s 4 --w 64 --h 72 --l 1.5\n\nnight --s 2\n")
    ran = train(
        folder,
        "--network_dim=2",
        max_train_epochs=3,
        save_every_n_epochs=1,
        save_every_n_steps=4,
        save_last_n_steps=4,
        save_precision="fp16",
        sample_prompts=str(folder / "prompts.txt"),
        sample_every_n_epochs=1,
        sample_at_first=True,
        training_comment="run 0123456789abcdef",
        text_encoder_lr=[1e-3],
        network_args=["conv_dim=4"],
        log_with="tensorboard",
        logging_dir=str(folder / "logs"),
        unknown_key_of_a_fork=1,
    )
    assert ran.returncode == 0, ran.stderr
    return folder, ran


@pytest.mark.slow
def test_output_is_the_originals(trained: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, ran = trained
    for line in (
        "accelerator device: cpu",
        "import network module: networks.lora",
        "override steps. steps for 3 epochs is / 指定エポックまでのステップ数: 18",
        "running training / 学習開始",
        "  num train images * repeats / 学習画像の数×繰り返し回数: 12",
        "  num batches per epoch / 1epochのバッチ数: 6",
        "  num epochs / epoch数: 3",
        "  gradient accumulation steps / 勾配を合計するステップ数 = 1",
        "  total optimization steps / 学習ステップ数: 18",
        "epoch 1/3",
        "epoch 3/3",
        f"saving checkpoint: {folder}/output/lora-step00000004.safetensors",
        f"saving checkpoint: {folder}/output/lora-000002.safetensors",
        f"saving checkpoint: {folder}/output/lora.safetensors",
        f"removing old checkpoint: {folder}/output/lora-step00000004.safetensors",
    ):
        assert line in ran.stdout.splitlines(), line
    assert "Loading settings from" in ran.stderr and "model saved." in ran.stderr
    assert ran.stderr.count("\nsteps: 100%|") >= 1 and len(losses(ran.stderr)) == 18


@pytest.mark.slow
def test_checkpoints_have_the_originals_names_keys_and_metadata(
    trained: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    import torch

    output = trained[0] / "output"
    names = sorted(file.stem for file in output.glob("*.safetensors"))
    assert names == ["lora", "lora-000001", "lora-000002", "lora-step00000012", "lora-step00000016"]
    places = {name: opened(output / f"{name}.safetensors")[0] for name in names}
    assert {name: (m["ss_epoch"], m["ss_steps"]) for name, m in places.items()} == {
        "lora": ("3", "18"),
        "lora-000001": ("1", "6"),
        "lora-000002": ("2", "12"),
        "lora-step00000012": ("1", "12"),  # epochs that are over
        "lora-step00000016": ("2", "16"),
    }
    metadata, tensors = opened(output / "lora.safetensors")
    expected = {
        "ss_output_name": "lora",
        "ss_network_dim": "2",  # the command line goes over the TOML
        "ss_network_alpha": "1",
        "ss_network_module": "networks.lora",
        "ss_network_args": '{"conv_dim": "4"}',
        "ss_unet_lr": "0.003",
        "ss_text_encoder_lr": "[0.001]",
        "ss_max_train_steps": "18",
        "ss_num_epochs": "3",
        "ss_seed": "1",
        "ss_training_comment": "run 0123456789abcdef",
        "ss_dataset_dirs": '{"images": {"n_repeats": 1, "img_count": 12}}',
    }
    assert {key: metadata.get(key) for key in expected} == expected
    assert json.loads(metadata["ss_tag_frequency"])["images"]["calm sea"] == 12
    stem = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q"
    assert tensors[f"{stem}.lora_down.weight"].shape == (2, 112) and tensors[f"{stem}.lora_up.weight"].shape == (112, 2)
    assert tensors[f"{stem}.alpha"] == 1 and tensors[f"{stem}.lora_up.weight"].abs().max() > 0
    assert "lora_te_text_model_encoder_layers_1_mlp_fc1.lora_up.weight" in tensors
    assert all(tensor.dtype == torch.float16 for tensor in tensors.values())


@pytest.mark.slow
def test_samples_have_the_originals_names_and_change(trained: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    from PIL import Image, ImageChops, ImageStat

    folder = trained[0] / "output" / "sample"
    files = sorted(folder.iterdir())
    assert len(files) == 8
    seeded = [file for file in files if re.fullmatch(r"lora_e\d{6}_00_\d{14}_5\.png", file.name)]
    free = [file for file in files if re.fullmatch(r"lora_e\d{6}_01_\d{14}\.png", file.name)]
    assert len(seeded) == len(free) == 4
    pictures = [Image.open(file) for file in seeded]
    assert {picture.size for picture in pictures} == {(64, 72)} and Image.open(free[0]).size == (512, 512)
    # The same noise each time: what differs is what was learned.
    difference = ImageStat.Stat(ImageChops.difference(pictures[0], pictures[-1])).mean
    assert sum(difference) / 3 > 4


@pytest.mark.slow
def test_metrics_reach_the_tracker(trained: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (home,) = (trained[0] / "logs").glob("*/network_train")
    told = EventAccumulator(str(home))
    told.Reload()
    assert [event.step for event in told.Scalars("loss/current")] == list(range(1, 19))
    assert [event.step for event in told.Scalars("loss/epoch_average")] == [1, 2, 3]
    assert {"loss/average", "lr/unet", "lr/textencoder", "lr/group1"} <= set(told.Tags()["scalars"])


@pytest.mark.slow
def test_loss_goes_down_and_the_seed_decides(tmp_path: Path) -> None:
    curves, loras = [], []
    for name, seed in (("one", 1), ("again", 1), ("other", 2)):
        (tmp_path / name).mkdir()
        ran = train(tmp_path / name, max_train_epochs=None, max_train_steps=90, seed=seed, unet_lr=5e-3)
        curves.append(losses(ran.stderr))
        loras.append((tmp_path / name / "output" / "lora.safetensors").read_bytes()[-5000:])
    # One step's loss depends on its noise level: the same steps at a rate of almost nothing are what is compared with.
    (tmp_path / "still").mkdir()
    still = losses(train(tmp_path / "still", max_train_epochs=None, max_train_steps=90, seed=1, unet_lr=1e-9).stderr)
    assert sum(curves[0][-30:]) < 0.9 * sum(still[-30:])
    assert curves[0] == curves[1] != curves[2] and loras[0] == loras[1] != loras[2]


@pytest.mark.slow
def test_absurd_learning_rate_is_nan_and_exit_code_0(tmp_path: Path) -> None:
    ran = train(tmp_path, unet_lr=1e5, max_train_epochs=2)
    assert ran.returncode == 0 and math.isnan(losses(ran.stderr)[-1])
    tensors = opened(tmp_path / "output" / "lora.safetensors")[1]
    assert any(tensor.isnan().any() for tensor in tensors.values())


@pytest.mark.slow
def test_no_data_is_exit_code_0_and_no_checkpoint(tmp_path: Path) -> None:
    config = write_config(tmp_path, {}, image_dir=str(tmp_path / "none"))
    ran = run("--config_file", str(config))
    assert ran.returncode == 0 and "ERROR" in ran.stderr and "No data found" in ran.stderr
    assert not (tmp_path / "output").exists()


@pytest.mark.slow
def test_state_and_resume(tmp_path: Path) -> None:
    straight = train(tmp_path, save_every_n_epochs=1, save_state=True)
    state = tmp_path / "output" / "lora-000001-state"
    assert json.loads((state / "train_state.json").read_text()) == {"current_epoch": 1, "current_step": 6}
    assert (tmp_path / "output" / "lora-state" / "optimizer.bin").exists()
    (tmp_path / "b").mkdir()
    resumed = train(tmp_path / "b", resume=str(state), skip_until_initial_step=True, save_every_n_steps=3)
    assert resumed.returncode == 0, resumed.stderr
    assert "epoch 1/2" not in resumed.stdout and "epoch 2/2" in resumed.stdout
    assert (tmp_path / "b" / "output" / "lora-step00000009.safetensors").exists()
    assert opened(tmp_path / "b" / "output" / "lora.safetensors")[0]["ss_steps"] == "12"
    # It goes on from the state's weights: what 12 steps in one go have learned is nearly there.
    one, other = (opened(folder / "output" / "lora.safetensors")[1] for folder in (tmp_path, tmp_path / "b"))
    far = sum(float((one[name] - other[name]).norm()) for name in one)
    assert far < 0.5 * sum(float(one[name].norm()) for name in one if "up" in name), far
    assert straight.returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "argv", "said"),
    [
        ({"optimizer_type": "AdamW8bit"}, [], "AdamW is used instead of AdamW8bit"),
        ({"mixed_precision": "bf16", "gradient_accumulation_steps": 4, "clip_skip": 2}, [], "学習ステップ数: 4"),
        ({"network_train_unet_only": True, "lr_scheduler": "cosine", "lr_warmup_steps": 0.5}, [], "model saved."),
        ({"v_parameterization": True, "min_snr_gamma": 5, "zero_terminal_snr": True}, [], "model saved."),
        ({"debiased_estimation_loss": True, "noise_offset": 0.1, "loss_type": "huber"}, [], "model saved."),
        ({"max_data_loader_n_workers": 1, "persistent_data_loader_workers": True}, [], "model saved."),
        ({"save_model_as": "pt", "no_metadata": True}, ["--optimizer_args", "weight_decay=0.1"], "'weight_decay': 0.1"),
    ],
)
def test_options_that_act(tmp_path: Path, options: dict[str, Any], argv: list[str], said: str) -> None:
    ran = train(tmp_path, *argv, **options)
    assert ran.returncode == 0, ran.stderr
    assert said in ran.stdout + ran.stderr and losses(ran.stderr)[-1] < 5


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"optimizer_type": "Nothing"}, "unknown optimizer_type 'Nothing'"),
        ({"lr_scheduler": "cosin"}, "unknown lr_scheduler 'cosin'"),
        ({"network_module": "lycoris.kohya"}, "No module named 'lycoris.kohya'"),
        ({"log_with": "tensorboard"}, "logging_dir is required"),
    ],
)
@pytest.mark.slow
def test_options_that_fail(tmp_path: Path, options: dict[str, Any], said: str) -> None:
    ran = train(tmp_path, **options)
    assert ran.returncode == 1 and said in ran.stderr


# --- in this process


def test_options_are_read_without_running_the_script(parts: Any) -> None:
    from automate_train.trainers.script_options.reader import accepted

    read = accepted(TINY / "train_network.py")
    parser = argparse.ArgumentParser()
    for name, function in vars(parts("options")).items():
        if name.startswith("add_"):
            function(parser)
    real = {action.dest: action for action in parser._actions if action.dest != "help"}
    assert read.keys() == real.keys() and len(read) == 193
    for name, argument in read.items():
        assert not argument.dynamic, name
        assert argument.default == real[name].default, name
        assert list(argument.choices or []) == list(real[name].choices or []), name
        assert argument.help == (real[name].help or ""), name


def arguments_for(parts: Any, **given: Any) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parts("options").add_dataset_arguments(parser)
    return argparse.Namespace(**{**vars(parser.parse_args([])), **given})


def test_datasets_subset_wins_over_dataset_over_general_over_command_line(parts: Any, tmp_path: Path) -> None:
    (tmp_path / "d.toml").write_text(
        "[general]\nkeep_tokens = 1\nshuffle_caption = true\nresolution = 64\n"
        "[[datasets]]\nresolution = 32\nkeep_tokens = 2\nbatch_size = 3\n"
        "[[datasets.subsets]]\nimage_dir = 'a'\nkeep_tokens = 3\n[[datasets.subsets]]\nimage_dir = 'b'\n"
    )
    found = parts("image_dataset").subsets(arguments_for(parts, dataset_config=tmp_path / "d.toml", flip_aug=True))
    assert [(s["image_dir"], s["keep_tokens"], s["batch_size"], s["resolution"]) for s in found] == [
        ("a", 3, 3, 32),
        ("b", 2, 3, 32),
    ]
    assert all(s["shuffle_caption"] and s["flip_aug"] and s["caption_extension"] == ".caption" for s in found)


@pytest.mark.parametrize("where", ["general", "[datasets]", "[datasets.subsets]"])
def test_datasets_refuse_unknown_keys(parts: Any, tmp_path: Path, where: str) -> None:
    text = "[general]\n[[datasets]]\n[[datasets.subsets]]\nimage_dir = 'a'\n"
    (tmp_path / "d.toml").write_text(text.replace(f"[{where}]\n", f"[{where}]\nmask_dir = 'x'\n"))
    with pytest.raises(ValueError, match=r"extra keys not allowed .*mask_dir"):
        parts("image_dataset").subsets(arguments_for(parts, dataset_config=tmp_path / "d.toml"))


def test_folders_with_repeats(parts: Any, tmp_path: Path) -> None:
    from PIL import Image

    for name in ("3_boat", "2_sea", "no_number"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (80, 40)).save(tmp_path / name / "x.png")
    (tmp_path / "2_sea" / "x.txt").write_text("water, blue\nsecond line")
    args = arguments_for(parts, train_data_dir=str(tmp_path), caption_extension=".txt", shuffle_caption=True)
    pictures = parts("image_dataset").Images(args)
    captions = [pictures[index][1] for index in range(len(pictures))]
    assert sorted(captions[:2])[0] in ("blue, water", "water, blue") and captions[2:] == ["boat"] * 3
    assert pictures[0][0].shape == (3, 64, 64)


def test_latents_on_disk_know_the_pictures_size_alone(parts: Any, tmp_path: Path) -> None:
    """As the original's do: this is what the orchestrator's cache folders are for."""
    from PIL import Image

    (tmp_path / "1_a").mkdir()
    Image.new("RGB", (80, 40)).save(tmp_path / "1_a" / "x.png")
    fixed = {"train_data_dir": str(tmp_path), "cache_latents_to_disk": True}
    assert parts("image_dataset").Images(arguments_for(parts, resolution="32", **fixed))[0][0].shape == (3, 32, 32)
    assert (tmp_path / "1_a" / "x_0080x0040_tiny.npz").exists()
    assert parts("image_dataset").Images(arguments_for(parts, resolution="64", **fixed))[0][0].shape == (3, 32, 32)


@pytest.mark.parametrize(
    ("resolution", "side"), [(768, 64), ("768", 64), ("512,40", 40), ([32, 48], 32), (10, 32), (None, 64), ("50", 48)]
)
def test_resolution(parts: Any, resolution: Any, side: int) -> None:
    assert parts("image_dataset").side(resolution) == side


def test_lora_starts_as_nothing_and_scales_with_alpha(parts: Any) -> None:
    import torch

    model = parts("model")
    x, level = torch.randn(1, 3, 32, 32), torch.tensor([500])

    def said(network: Any) -> Any:
        with torch.no_grad():
            return network(x, level, ["a boat"], 1)

    small, large = (model.Network(4, alpha, 0.0, unet=True, text=True, zero_snr=False) for alpha in (1, 4))
    base = said(small)
    assert torch.equal(base, said(large))  # the base model is the same at every start, and `up` is zero
    for network in (small, large):
        torch.manual_seed(0)
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.01)
    ratio = (said(large) - base).norm() / (said(small) - base).norm()
    assert 3.5 < ratio < 4.5
    assert {name.split("_")[1] for name, _ in small.named_parameters()} == {"unet", "te"}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"lr_scheduler": "constant", "lr_warmup_steps": 5}, [1, 1, 1, 1, 1]),
        ({"lr_scheduler": "constant_with_warmup", "lr_warmup_steps": 0.4}, [0, 0.25, 0.5, 0.75, 1]),
        ({"lr_scheduler": "linear"}, [1, 0.9, 0.8, 0.7, 0.6]),
        ({"lr_scheduler": "polynomial", "lr_scheduler_power": 2}, [1, 0.81, 0.64, 0.49, 0.36]),
        ({"lr_scheduler": "cosine_with_restarts", "lr_scheduler_num_cycles": 5}, [1, 0.5, 1, 0.5, 1]),
    ],
)
def test_schedules(parts: Any, options: dict[str, Any], expected: list[float]) -> None:
    import torch

    parser = argparse.ArgumentParser()
    parts("options").add_training_arguments(parser)
    args = argparse.Namespace(**{**vars(parser.parse_args([])), "max_train_steps": 10, **options})
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = parts("recipe").make_scheduler(args, optimizer, 1)
    rates = []
    for _ in expected:
        rates.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    assert rates == pytest.approx(expected)


def test_prompt_files(parts: Any, tmp_path: Path) -> None:
    samples = parts("samples")
    (tmp_path / "p.txt").write_text("a cat, red --d 43 --s 30 --n bad, low --l 8.5 --w 512 --h 768\n#no\nplain\n")
    (tmp_path / "p.json").write_text('[{"prompt": "x", "seed": 1}, "y --d 2"]')
    (tmp_path / "p.toml").write_text('[prompt]\nwidth = 64\n[[prompt.subset]]\nprompt = "z"\n')
    first, second = samples.read_prompts(str(tmp_path / "p.txt"))
    numbers = {"seed": 43, "sample_steps": 30, "scale": 8.5, "width": 512, "height": 768}
    assert first == {"prompt": "a cat, red", "negative_prompt": "bad, low", **numbers} and second == {"prompt": "plain"}
    assert samples.read_prompts(str(tmp_path / "p.json"))[1] == {"prompt": "y", "seed": 2}
    assert samples.read_prompts(str(tmp_path / "p.toml"))[0]["prompt"] == "z"


@pytest.mark.parametrize(
    ("first", "epochs", "steps", "at", "expected"),
    [
        (True, None, None, (0, 0), True),
        (False, 1, 1, (0, 6), False),  # resumed: nothing was learned yet
        (False, 2, 1, (None, 3), False),
        (False, 2, 1, (4, 8), True),
        (False, 2, 1, (3, 6), False),
        (False, None, 3, (None, 6), True),
        (False, None, 3, (2, 6), False),
        (False, None, None, (1, 6), False),
    ],
)
def test_when_samples_are_due(parts: Any, first: bool, epochs: Any, steps: Any, at: Any, expected: bool) -> None:
    args = argparse.Namespace(sample_at_first=first, sample_every_n_epochs=epochs, sample_every_n_steps=steps)
    assert parts("samples").due(args, *at) is expected


def test_quickstart_pictures_are_what_the_script_draws(tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(QUICKSTART / "make_images.py"), str(tmp_path)], check=True)
    from PIL import Image

    names = sorted(file.name for file in (QUICKSTART / "images").iterdir())
    assert names == sorted(file.name for file in tmp_path.iterdir()) and len(names) == 40
    for name in names:  # pixels, not bytes: another Pillow may pack them otherwise
        if name.endswith(".txt"):
            assert (tmp_path / name).read_text() == (QUICKSTART / "images" / name).read_text()
        else:
            drawn, shipped = (Image.open(folder / name) for folder in (tmp_path, QUICKSTART / "images"))
            assert shipped.size == (48, 48) and drawn.tobytes() == shipped.tobytes()
