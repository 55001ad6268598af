"""The tiny trainer's files: checkpoints with their metadata, saved states, going on from a state.

Covers: sd-scripts' names (`name-000001`, `name-step00000010`, `name`; `-state` folders), which checkpoint is written
and which older one removed, the ss_ metadata that readers of LoRA files look at, `--resume`. Not: uploads, model cards.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from accelerate import Accelerator
from safetensors.torch import save, save_file

if TYPE_CHECKING:
    from .image_dataset import Images
    from .model import Network

log = logging.getLogger(__name__)
DTYPES = {"float": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
COPIED = (
    "output_name learning_rate text_encoder_lr unet_lr gradient_checkpointing gradient_accumulation_steps "
    "max_train_steps lr_warmup_steps lr_scheduler network_module network_dim network_alpha network_dropout "
    "mixed_precision full_fp16 v2 clip_skip max_token_length cache_latents seed lowram noise_offset "
    "multires_noise_iterations zero_terminal_snr training_comment max_grad_norm caption_dropout_rate min_snr_gamma "
    "scale_weight_norms loss_type huber_c session_id"
).split()
"""Options that go into the metadata as they are, with `ss_` before them."""
KEPT_WITHOUT_METADATA = ("ss_v2", "ss_base_model_version", "ss_network_module", "ss_network_dim", "ss_network_alpha")


class Saver:
    def __init__(
        self, args: argparse.Namespace, accelerator: Accelerator, dataset: Images, epochs: int, batches: int
    ) -> None:
        self.args, self.accelerator, self.epoch, self.step = args, accelerator, 0, 0
        self.metadata = _metadata(args, dataset, epochs, batches)
        accelerator.register_save_state_pre_hook(self._write_train_state)

    def after_epoch(self, network: Network, step: int, epoch: int) -> None:
        """For every epoch but the last, whose file has no number."""
        every, keep = self.args.save_every_n_epochs, self.args.save_last_n_epochs
        if every and epoch % every == 0:
            stem = f"{self.args.output_name or 'epoch'}-{{:06d}}"
            self._save(network, stem.format(epoch), step, epoch, state=self.args.save_state)
            if keep and epoch - every * keep > 0:
                self._remove(stem.format(epoch - every * keep))

    def after_step(self, network: Network, step: int, finished_epochs: int) -> None:
        every, keep = self.args.save_every_n_steps, self.args.save_last_n_steps
        if every and step % every == 0:
            self.accelerator.wait_for_everyone()
            stem = f"{self.args.output_name or 'at'}-step{{:08d}}"
            self._save(network, stem.format(step), step, finished_epochs, state=self.args.save_state)
            if keep and (old := (step - keep - 1) // every * every) > 0:
                self._remove(stem.format(old))

    def at_end(self, network: Network, step: int, epochs: int) -> None:
        state = self.args.save_state or self.args.save_state_on_train_end
        self._save(network, self.args.output_name or "last", step, epochs, state)
        if self.accelerator.is_main_process:
            log.info("model saved.")

    def _save(self, network: Network, stem: str, step: int, epoch: int, state: bool) -> None:
        self.step = step
        if not self.accelerator.is_main_process:
            return
        args = self.args
        os.makedirs(args.output_dir, exist_ok=True)
        file = os.path.join(args.output_dir, f"{stem}.{args.save_model_as}")
        self.accelerator.print(f"\nsaving checkpoint: {file}")
        now = {"ss_training_finished_at": str(time.time()), "ss_steps": str(step), "ss_epoch": str(epoch)}
        metadata = {**self.metadata, **now}
        if args.no_metadata:
            metadata = {key: metadata[key] for key in KEPT_WITHOUT_METADATA}
        dtype = DTYPES.get(args.save_precision)
        tensors = {k: v.detach().to("cpu", dtype or v.dtype).contiguous() for k, v in network.state_dict().items()}
        if args.save_model_as == "safetensors":
            data = save(tensors)
            body = data[8 + int.from_bytes(data[:8], "little") :]
            metadata["sshs_model_hash"] = hashlib.sha256(body).hexdigest()
            save_file(tensors, file, metadata)
        else:
            torch.save(tensors, file)
        if state:
            folder = os.path.join(args.output_dir, f"{stem}-state")
            log.info("saving state: %s", folder)
            self.accelerator.save_state(folder)

    def _remove(self, stem: str) -> None:
        file = Path(self.args.output_dir) / f"{stem}.{self.args.save_model_as}"
        if self.accelerator.is_main_process and file.exists():
            self.accelerator.print(f"removing old checkpoint: {file}")
            file.unlink()

    def _write_train_state(self, models: object, weights: object, folder: str) -> None:
        del models, weights
        text = json.dumps({"current_epoch": self.epoch, "current_step": self.step})
        (Path(folder) / "train_state.json").write_text(text)

    def resume(self, steps_per_epoch: int) -> tuple[int, int]:
        """`(steps done, epochs done)`, from the state or from the options. Without skip_until_initial_step the weights
        and the optimizer are restored, but steps are counted from 0 and only the epochs' numbers go on."""
        args, done = self.args, 0
        if args.resume:
            log.info("resume training from local state: %s", args.resume)
            self.accelerator.load_state(args.resume)
            file = Path(args.resume) / "train_state.json"
            done = json.loads(file.read_text())["current_step"] if file.exists() else 0
        if args.initial_step is not None:
            done = args.initial_step
        elif args.initial_epoch is not None:
            done = (args.initial_epoch - 1) * steps_per_epoch
        if 0 < args.max_train_steps <= done:
            raise ValueError(
                f"max_train_steps should be greater than the initial step: {args.max_train_steps} vs {done}"
            )
        return done if args.skip_until_initial_step else 0, done // steps_per_epoch


def _metadata(args: argparse.Namespace, dataset: Images, epochs: int, batches: int) -> dict[str, str]:
    subsets = [{**s, "image_dir": os.path.basename(s["image_dir"])} for s in dataset.subsets if "img_count" in s]
    size = (dataset.side, dataset.side)
    one: dict[str, object] = {
        "is_dreambooth": True,
        "batch_size_per_device": dataset.batch_size,
        "num_train_images": len(dataset),
        "num_reg_images": 0,
        "resolution": size,
        "tag_frequency": dataset.tags,
        "subsets": subsets,
    }
    folders = {s["image_dir"]: {"n_repeats": s["num_repeats"], "img_count": s["img_count"]} for s in subsets}
    name = args.optimizer_type or "AdamW"
    values: dict[str, object] = {f"ss_{key}": getattr(args, key) for key in COPIED}
    values |= {
        "ss_training_started_at": time.time(),
        "ss_num_train_images": len(dataset),
        "ss_num_batches_per_epoch": batches,
        "ss_num_epochs": epochs,
        "ss_base_model_version": "tiny",
        "ss_sd_model_name": os.path.basename(args.pretrained_model_name_or_path or "tiny"),
        "ss_optimizer": f"{name}({','.join(args.optimizer_args)})" if args.optimizer_args else name,
        "ss_debiased_estimation": bool(args.debiased_estimation_loss),
        "ss_datasets": json.dumps([one]),
        "ss_tag_frequency": json.dumps(dataset.tags),
        "ss_dataset_dirs": json.dumps(folders),
        "ss_resolution": size,
        "modelspec.title": args.output_name or "LoRA@tiny",
        "modelspec.architecture": "tiny/lora",
    }
    if args.network_args:
        values["ss_network_args"] = json.dumps(dict(item.split("=", 1) for item in args.network_args))
    return {key: str(value) for key, value in values.items()}
