"""A real, small LoRA training with the command line and the files of sd-scripts' train_network.py.

With it a sweep, its preflight, its hook and its report run anywhere in seconds, on real tensors.
Covers: TOML configs, datasets, epochs and steps, gradients through accelerate (also with several processes), optimizers
and schedules, loss weights, trackers, checkpoints with kohya's keys and ss_ metadata, states and resuming, samples, the
console's lines, and sd-scripts' habit of ending with exit code 0 on NaN and on an empty dataset.
Not: Stable Diffusion. The base model draws simple scenes (`base_model`), images have 32 to 64 px (`image_dataset`), so
no learning rate or rank found here says anything about a real model. `options` shows which options are used.
"""

from __future__ import annotations

import argparse
import logging
import math
import os
import random
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import toml
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from safetensors.torch import load_file
from torch import Tensor
from tqdm import tqdm  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from . import checkpoints, image_dataset, model, options, recipe, samples
else:  # beside this file: Python puts a script's folder first
    import checkpoints
    import image_dataset
    import model
    import options
    import recipe
    import samples

log = logging.getLogger(__name__)
SECRET = ("wandb_api_key", "huggingface_token")


def make_accelerator(args: argparse.Namespace) -> Accelerator:
    home = None
    if args.logging_dir is not None:
        home = f"{args.logging_dir}/{args.log_prefix or ''}{time.strftime('%Y%m%d%H%M%S')}"
    log_with = args.log_with or ("tensorboard" if home else None)
    if log_with in ("tensorboard", "all") and home is None:
        raise ValueError("logging_dir is required when log_with is tensorboard")
    if log_with in ("wandb", "all") and args.wandb_api_key:
        import wandb

        wandb.login(key=args.wandb_api_key)
    return Accelerator(
        gradient_accumulation_steps=args.gradient_accumulation_steps,
        mixed_precision=args.mixed_precision,
        log_with=log_with,
        project_dir=home,
    )


def make_network(args: argparse.Namespace) -> model.Network:
    if args.network_module not in (None, "networks.lora"):
        raise ModuleNotFoundError(f"No module named {args.network_module!r}: the tiny trainer has networks.lora")
    network = model.Network(
        4 if args.network_dim is None else args.network_dim,
        1 if args.network_alpha is None else args.network_alpha,
        args.network_dropout or 0.0,
        unet=not args.network_train_text_encoder_only,
        text=not args.network_train_unet_only,
        zero_snr=args.zero_terminal_snr,
    )
    if args.network_weights is not None:
        info = network.load_state_dict(load_file(args.network_weights))
        print(f"load network weights from {args.network_weights}: {info}")
    return network


class Training:
    """Everything that a run holds while it trains."""

    def __init__(self, args: argparse.Namespace, dataset: image_dataset.Images) -> None:
        self.args, self.dataset = args, dataset
        log.info("preparing accelerator")
        self.accelerator = accelerator = make_accelerator(args)
        print(f"accelerator device: {accelerator.device}")
        if args.cache_latents or args.cache_latents_to_disk:
            log.info("caching latents...")
            for path in tqdm(sorted({item[0] for item in dataset.items}), disable=not accelerator.is_main_process):
                dataset.latent(path)
        accelerator.print("import network module:", args.network_module)
        self.network = make_network(args)
        accelerator.print("prepare optimizer, data loader etc.")
        self.optimizer, self.lr_names = recipe.make_optimizer(args, self.network)
        workers = min(args.max_data_loader_n_workers or 0, os.cpu_count() or 1)
        self.loader = torch.utils.data.DataLoader(
            dataset,
            batch_size=dataset.batch_size,
            shuffle=True,
            collate_fn=image_dataset.collate,
            num_workers=workers,
            persistent_workers=bool(args.persistent_data_loader_workers) and workers > 0,
        )
        per_epoch = math.ceil(len(self.loader) / accelerator.num_processes / args.gradient_accumulation_steps)
        if args.max_train_epochs is not None:
            args.max_train_steps = args.max_train_epochs * per_epoch
            epochs, steps = args.max_train_epochs, args.max_train_steps
            accelerator.print(f"override steps. steps for {epochs} epochs is / 指定エポックまでのステップ数: {steps}")
        self.epochs = math.ceil(args.max_train_steps / per_epoch)
        self.scheduler = recipe.make_scheduler(args, self.optimizer, accelerator.num_processes)
        self.network.place(accelerator.device)
        prepared = accelerator.prepare(self.network, self.optimizer, self.loader, self.scheduler)
        self.network, self.optimizer, self.loader, self.scheduler = prepared
        self.bare = accelerator.unwrap_model(self.network)
        self.saver = checkpoints.Saver(args, accelerator, dataset, self.epochs, len(self.loader))
        self.step, self.first_epoch = self.saver.resume(per_epoch)
        self.skip = (self.step % per_epoch) * args.gradient_accumulation_steps
        self.average = recipe.Average()

    def announce(self) -> None:
        say, args = self.accelerator.print, self.args
        say("running training / 学習開始")
        say(f"  num train images * repeats / 学習画像の数×繰り返し回数: {len(self.dataset)}")
        say(f"  num batches per epoch / 1epochのバッチ数: {len(self.loader)}")
        say(f"  num epochs / epoch数: {self.epochs}")
        say(f"  batch size per device / バッチサイズ: {self.dataset.batch_size}")
        say(f"  gradient accumulation steps / 勾配を合計するステップ数 = {args.gradient_accumulation_steps}")
        say(f"  total optimization steps / 学習ステップ数: {args.max_train_steps}")

    def init_trackers(self) -> None:
        if not self.accelerator.is_main_process:
            return
        args = self.args
        init: dict[str, object] = {"wandb": {"name": args.wandb_run_name}} if args.wandb_run_name else {}
        if args.log_tracker_config is not None:
            init = toml.load(args.log_tracker_config)
        plain = {k: v for k, v in vars(args).items() if isinstance(v, (int, float, str)) and k not in SECRET}
        self.accelerator.init_trackers(
            args.log_tracker_name or "network_train", config=plain if args.log_config else None, init_kwargs=init
        )

    def log(self, values: dict[str, float], step: int, epoch: int) -> None:
        """To each tracker by itself and not through Accelerator.log, as sd-scripts does; W&B gets no step."""
        for tracker in self.accelerator.trackers:
            if tracker.name == "wandb":
                tracker.log({**values, "global_step": self.step, "epoch": epoch})
            else:
                tracker.log(values, step=step)

    def learning_rates(self) -> dict[str, float]:
        rates = dict(zip(self.lr_names, map(float, self.scheduler.get_last_lr()), strict=True))
        named = {f"lr/{name}": rate for name, rate in rates.items()}
        # sd-scripts logs the rates that are not the text encoder's once more, with numbers.
        groups = {f"lr/group{i}": rate for i, (name, rate) in enumerate(rates.items()) if name != "textencoder"}
        return {**named, **groups}

    def optimize(self, batch: tuple[Tensor, list[str]]) -> float:
        accelerator, args = self.accelerator, self.args
        with accelerator.accumulate(self.network):
            # The bare network's gradients are averaged by hand: not every layer takes part in each step (clip_skip).
            loss = recipe.loss_of(args, self.bare, *batch)
            accelerator.backward(loss)
            if accelerator.sync_gradients:
                for parameter in self.bare.parameters():
                    if parameter.grad is not None and accelerator.num_processes > 1:
                        parameter.grad = accelerator.reduce(parameter.grad, reduction="mean")
                if args.max_grad_norm:
                    accelerator.clip_grad_norm_(self.bare.parameters(), args.max_grad_norm)
            self.optimizer.step()
            self.scheduler.step()
            self.optimizer.zero_grad(set_to_none=True)
        return float(loss.detach())

    def sample(self, epoch: int | None) -> None:
        samples.draw(self.args, self.accelerator, self.bare, self.dataset.side, epoch, self.step)

    def run(self) -> None:
        args, accelerator = self.args, self.accelerator
        # The hook reads these variables, which sd-scripts names so.
        num_train_epochs, epoch_to_start, train_dataloader = self.epochs, self.first_epoch, self.loader
        initial_step = epoch_to_start * len(train_dataloader) + self.skip  # noqa: F841
        self.announce()
        self.init_trackers()
        self.sample(epoch=0)
        if accelerator.trackers:
            accelerator.log({}, step=0)
        left = args.max_train_steps - self.step
        self.bar = tqdm(range(left), smoothing=0, disable=not accelerator.is_local_main_process, desc="steps")
        for epoch in range(epoch_to_start, num_train_epochs):
            accelerator.print(f"\nepoch {epoch + 1}/{num_train_epochs}\n")
            self.saver.epoch = epoch + 1
            self.run_epoch(epoch)
            self.log({"loss/epoch_average": self.average.now}, step=epoch + 1, epoch=epoch + 1)
            accelerator.wait_for_everyone()
            if epoch + 1 < num_train_epochs:
                self.saver.after_epoch(self.bare, self.step, epoch + 1)
            self.sample(epoch=epoch + 1)
        accelerator.end_training()
        self.saver.at_end(self.bare, self.step, num_train_epochs)
        if accelerator.num_processes > 1:
            # gloo's thread may still wait for the interpreter's lock to leave the last barrier; if Python shuts down
            # before it gets the lock, the C++ library aborts a process that has done all its work.
            time.sleep(0.1)

    def run_epoch(self, epoch: int) -> None:
        accelerator, self.skip, skip = self.accelerator, 0, self.skip
        loader = accelerator.skip_first_batches(self.loader, skip) if skip else self.loader
        self.network.train()
        for number, batch in enumerate(loader):
            loss = self.optimize(batch)
            if accelerator.sync_gradients:
                self.bar.update(1)
                self.step += 1
                self.sample(epoch=None)
                self.saver.after_step(self.bare, self.step, epoch)
            average = self.average.add(epoch - self.first_epoch, number, loss)
            self.bar.set_postfix(avr_loss=average)
            values = {"loss/current": loss, "loss/average": average, **self.learning_rates()}
            self.log(values, step=self.step, epoch=epoch + 1)
            if self.step >= self.args.max_train_steps:
                break


def train(args: argparse.Namespace) -> None:
    args.session_id = random.randint(0, 2**32)  # before seeding: differs from run to run, as in sd-scripts
    args.seed = random.randint(0, 2**32 - 1) if args.seed is None else args.seed
    set_seed(args.seed)
    dataset = image_dataset.Images(args)
    if len(dataset) == 0:
        log.error("No data found. Please verify train_data_dir or dataset_config / 画像がありません")
        return
    Training(args, dataset).run()


def setup_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    options.add_dataset_arguments(parser)
    options.add_network_arguments(parser)
    options.add_training_arguments(parser)
    options.add_output_arguments(parser)
    options.add_ignored_arguments(parser)
    return parser


def read_config_file(args: argparse.Namespace, parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The TOML's values become options, unchecked, without their sections; the command line wins over them."""
    if not args.config_file:
        return args
    path = Path(args.config_file if args.config_file.endswith(".toml") else args.config_file + ".toml")
    if not path.exists():
        log.error("%s not found.", path)
        sys.exit(1)
    log.info("Loading settings from %s...", path)
    flat: dict[str, object] = {}
    for key, value in toml.loads(path.read_text(encoding="utf-8")).items():
        flat.update(value if isinstance(value, dict) else {key: value})
    return parser.parse_args(namespace=argparse.Namespace(**flat))


if __name__ == "__main__":
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(levelname)-8s %(message)s  %(filename)s:%(lineno)d",
        datefmt="%Y-%m-%d %H:%M:%S",
    )
    the_parser = setup_parser()
    train(read_config_file(the_parser.parse_args(), the_parser))
