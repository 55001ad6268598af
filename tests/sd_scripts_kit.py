"""What the tests of trainers/sd_scripts share: a folder that looks like sd-scripts, pictures, runs made from layers.

The scripts have upstream's shape (a `setup_parser` with literal `add_argument` calls) and a part of its options; none
of its code. Pictures are the first and the last bytes of one: nothing here draws them.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import toml

from automate_train.config.layers import Layer, built_in, merge
from automate_train.preflight import checks
from automate_train.records import Launch, Run, Source, SweepContext
from automate_train.store.layout import AttemptFolder
from automate_train.sweep.product import expand
from automate_train.trainers import sd_scripts

NEEDS_SD_SCRIPTS = [
    pytest.mark.real,
    pytest.mark.slow,
    pytest.mark.skipif(
        "SD_SCRIPTS_DIR" not in os.environ or "SD_MODEL_DIR" not in os.environ,
        reason="SD_SCRIPTS_DIR and SD_MODEL_DIR name no sd-scripts and model",
    ),
]
"""Marks of tests that train with the real sd-scripts."""

FLAGS = (
    "cache_latents cache_latents_to_disk gradient_checkpointing network_train_unet_only persistent_data_loader_workers "
    "masked_loss no_metadata v_parameterization zero_terminal_snr debiased_estimation_loss full_fp16 log_config "
    "output_config random_crop color_aug flip_aug cache_text_encoder_outputs_to_disk use_lion_optimizer"
).split()
TEXTS = (
    "pretrained_model_name_or_path vae network_module network_weights output_dir output_name training_comment "
    "logging_dir log_tracker_name log_tracker_config wandb_run_name wandb_api_key huggingface_token sample_prompts "
    "resolution train_data_dir in_json dataset_config config_file lr_scheduler_type"
).split()
NUMBERS = {
    "int": "network_dim max_train_epochs train_batch_size clip_skip seed keep_tokens sample_every_n_epochs "
    "sample_every_n_steps save_every_n_epochs save_every_n_steps save_last_n_epochs max_data_loader_n_workers "
    "lr_scheduler_num_cycles",
    "float": "network_alpha learning_rate unet_lr min_snr_gamma lr_scheduler_power noise_offset network_dropout",
}
OTHERS = """\
    parser.add_argument("--max_train_steps", type=int, default=1600)
    parser.add_argument("--gradient_accumulation_steps", type=int, default=1)
    parser.add_argument("--max_token_length", type=int, default=None, choices=[None, 150, 225])
    parser.add_argument("--save_model_as", type=str, default="safetensors", choices=[None, "ckpt", "pt", "safetensors"])
    parser.add_argument("--save_precision", type=str, default=None, choices=[None, "float", "fp16", "bf16"])
    parser.add_argument("--mixed_precision", type=str, default="no", choices=["no", "fp16", "bf16"])
    parser.add_argument("--log_with", type=str, default=None, choices=["tensorboard", "wandb", "all"])
    parser.add_argument("--loss_type", type=str, default="l2", choices=["l1", "l2", "huber", "smooth_l1"])
    parser.add_argument("--lr_scheduler", type=str, default="constant")
    parser.add_argument("--lr_warmup_steps", type=WARMUP, default=0)
    parser.add_argument("--optimizer_type", type=str, default="")
    parser.add_argument("--optimizer_args", type=str, default=None, nargs="*")
    parser.add_argument("--text_encoder_lr", type=float, default=None, nargs="*")
    parser.add_argument("--network_args", type=str, default=None, nargs="*")
    parser.add_argument("--caption_extension", type=str, default=".caption")
"""


def script(extra: str = "", warmup: str = "int_or_float") -> str:
    lines = [f'    parser.add_argument("--{name}", action="store_true")' for name in FLAGS]
    lines += [f'    parser.add_argument("--{name}", type=str, default=None)' for name in TEXTS]
    for kind, names in NUMBERS.items():
        lines += [f'    parser.add_argument("--{name}", type={kind}, default=None)' for name in names.split()]
    body = "\n".join(lines) + "\n" + OTHERS.replace("WARMUP", warmup) + extra
    return (
        "import argparse\n\n\ndef int_or_float(text):\n    return float(text) if '.' in text else int(text)\n\n\n"
        f"def setup_parser():\n    parser = argparse.ArgumentParser()\n{body}    return parser\n"
    )


def make_repo(folder: Path, extra: str = "", warmup: str = "int_or_float") -> Path:
    """A folder with the scripts of several families and their networks."""
    (folder / "networks").mkdir(parents=True)
    for name in ("lora", "lora_flux", "lora_sd3", "dylora"):
        (folder / "networks" / f"{name}.py").touch()
    for family in ("", "sdxl_", "flux_", "sd3_"):
        (folder / f"{family}train_network.py").write_text(script(extra, warmup), encoding="utf-8")
    return folder


def make_pictures(folder: Path, count: int = 3, captions: int | None = None, ending: str = ".txt") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        (folder / f"{i:02d}.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes([i]) + b"\0\0\0\0IEND\xaeB`\x82")
        if captions is None or i < captions:
            (folder / f"{i:02d}{ending}").write_text(f"a word {i}", encoding="utf-8")
    return folder


def safetensors(tensors: Mapping[str, tuple[str, bytes]], metadata: Mapping[str, str] | None = None) -> bytes:
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata is not None else {}
    data = b""
    for name, (kind, raw) in tensors.items():
        width = {"F16": 2, "BF16": 2, "F32": 4, "F64": 8, "I64": 8}[kind]
        shape, offsets = [len(raw) // width], [len(data), len(data) + len(raw)]
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": offsets}
        data += raw
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def make_runs(tuning: Mapping[str, Any], default: Mapping[str, Any] | None = None, **flags: Any) -> list[Run]:
    """The sweep's runs, from a tuning file over a default file over the built-in layer; `flags` as typed with --set."""
    layers = [
        built_in(),
        Layer(Source("default file", "d.json"), {"project_name_base": "p", **(default or {})}),
        Layer(Source("tuning file", "t.json"), dict(tuning)),
        Layer(Source("--set"), flags),
    ]
    merged, problems = merge(layers)
    assert not [problem for problem in problems if problem.severity == "error"], problems
    return [point for point in expand(merged).points() if isinstance(point, Run)]


def attempt_of(run: Run, context: SweepContext) -> AttemptFolder:
    return AttemptFolder(Path(context.temp_dir) / context.project / f"{run.number:03d}-{run.slug}" / "attempt-1")


class Bench:
    """A repo, pictures and a context in one temporary folder; `training`, `dataset`: what the trainer would read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.repo = make_repo(folder / "repo")
        self.pictures = make_pictures(folder / "pictures")
        self.model = folder / "model.safetensors"
        self.model.write_bytes(safetensors({"w": ("F16", b"\0\0")}))
        self.context = SweepContext(str(folder / "out"), "p", slots=2, cores=8)
        self.base: dict[str, Any] = {
            "repo_dir": str(self.repo),
            "model_file": str(self.model),
            "images_folder": str(self.pictures),
            "resolution": 512,
        }

    def runs(self, tuning: Mapping[str, Any], default: Mapping[str, Any] | None = None, **flags: Any) -> list[Run]:
        return make_runs(tuning, {**self.base, **(default or {})}, **flags)

    def run(self, tuning: Mapping[str, Any], default: Mapping[str, Any] | None = None, **flags: Any) -> Run:
        return self.runs(tuning, default, **flags)[0]

    def prepare(self, tuning: Mapping[str, Any], default: Mapping[str, Any] | None = None, **flags: Any) -> Launch:
        run = self.run(tuning, default, **flags)
        return sd_scripts.prepare(run, attempt_of(run, self.context), self.context)

    def training(self, tuning: Mapping[str, Any], default: Mapping[str, Any] | None = None, **flags: Any) -> Any:
        return toml.loads(self.prepare(tuning, default, **flags).files["training.toml"])

    def dataset(self, tuning: Mapping[str, Any], default: Mapping[str, Any] | None = None, **flags: Any) -> Any:
        return toml.loads(self.prepare(tuning, default, **flags).files["dataset.toml"])

    def problems(self, tuning: Mapping[str, Any], default: Mapping[str, Any] | None = None, **flags: Any) -> list[str]:
        """What the checks before a sweep say: `error key: message (hint)` or `warning ...`, with the key as written."""
        found = checks.of_run(self.run(tuning, default, **flags), self.context)
        return [f"{each.severity} {each.key}: {each.message} ({each.hint})" for each in found]

    def errors(self, tuning: Mapping[str, Any], default: Mapping[str, Any] | None = None, **flags: Any) -> list[str]:
        return [text for text in self.problems(tuning, default, **flags) if text.startswith("error")]
