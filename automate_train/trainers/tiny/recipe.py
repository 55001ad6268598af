"""How the tiny trainer trains: optimizer, learning rate schedule, the loss of a batch, the running mean of losses.

Covers: optimizers of torch.optim by name, six schedules with warm-up, noise and its levels, loss types and weights.
Not: 8-bit optimizers (AdamW stands in, with a note), adaptive ones from other packages, multi-resolution noise.
"""

from __future__ import annotations

import argparse
import ast
import logging
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

if TYPE_CHECKING:
    from .model import Network

log = logging.getLogger(__name__)


class Average:
    """The mean of the losses of the last epoch's worth of steps. A NaN stays in it for ever, as in sd-scripts."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.total = 0.0

    def add(self, epoch: int, step: int, loss: float) -> float:
        if epoch == 0 or step >= len(self.losses):
            self.losses.append(loss)
        else:
            self.total -= self.losses[step]
            self.losses[step] = loss
        self.total += loss
        return self.now

    @property
    def now(self) -> float:
        return self.total / len(self.losses) if self.losses else math.nan


def make_optimizer(args: argparse.Namespace, network: Network) -> tuple[torch.optim.Optimizer, list[str]]:
    """The optimizer and the name of each of its groups' learning rates."""
    text_lr = args.text_encoder_lr[0] if isinstance(args.text_encoder_lr, list) else args.text_encoder_lr
    groups, names = [], []
    for kind, name, lr in (("te", "textencoder", text_lr), ("unet", "unet", args.unet_lr)):
        lr = args.learning_rate if lr is None else lr
        if (parameters := network.of(kind)) and lr:
            groups.append({"params": parameters, "lr": lr})
            names.append(name)
    kwargs = {k: ast.literal_eval(v) for k, v in (item.split("=", 1) for item in args.optimizer_args or ())}
    wanted = args.optimizer_type or "AdamW"
    classes = {name.lower(): value for name, value in vars(torch.optim).items() if isinstance(value, type)}
    if wanted.lower() in ("adamw8bit", "pagedadamw8bit"):
        log.info("the tiny trainer has no 8-bit optimizer: AdamW is used instead of %s", wanted)
        wanted = "AdamW"
    elif wanted.lower() == "sgdnesterov":
        wanted, kwargs = "SGD", {"momentum": 0.9, "nesterov": True, **kwargs}
    if wanted.lower() not in classes:
        raise ValueError(f"unknown optimizer_type {wanted!r}: AdamW, AdamW8bit, SGDNesterov or a class of torch.optim")
    log.info("use %s | %s", wanted, kwargs)
    optimizer: torch.optim.Optimizer = classes[wanted.lower()](groups, **kwargs)
    return optimizer, names


def make_scheduler(args: argparse.Namespace, optimizer: torch.optim.Optimizer, processes: int) -> LambdaLR:
    # accelerate steps the schedule once for each process
    total = args.max_train_steps * processes
    warmup = args.lr_warmup_steps or 0
    warmup = int(warmup * total) if isinstance(warmup, float) and warmup < 1 else int(warmup) * processes
    cycles, power = args.lr_scheduler_num_cycles, args.lr_scheduler_power
    shapes: dict[str, Callable[[float], float]] = {
        "constant": lambda done: 1.0,
        "constant_with_warmup": lambda done: 1.0,
        "linear": lambda done: 1 - done,
        "cosine": lambda done: 0.5 + 0.5 * math.cos(math.pi * done),
        "cosine_with_restarts": lambda done: 0.5 + 0.5 * math.cos(math.pi * (cycles * done % 1)) if done < 1 else 0.0,
        "polynomial": lambda done: (1 - done) ** power,
    }
    if args.lr_scheduler not in shapes:
        raise ValueError(f"unknown lr_scheduler {args.lr_scheduler!r}: {', '.join(shapes)}")
    shape = shapes[args.lr_scheduler]
    if args.lr_scheduler == "constant":
        warmup = 0  # as in sd-scripts, where constant_with_warmup is another schedule

    def factor(step: int) -> float:
        return step / warmup if step < warmup else shape(min(1.0, (step - warmup) / max(1, total - warmup)))

    return LambdaLR(optimizer, factor)


def loss_of(args: argparse.Namespace, network: Network, clean: Tensor, captions: list[str]) -> Tensor:
    """The loss of one batch: noise of a random level is added, and the network estimates it."""
    noise = torch.randn_like(clean)
    if args.noise_offset:
        noise = noise + args.noise_offset * torch.randn(len(clean), 3, 1, 1, device=clean.device)
    level = torch.randint(args.min_timestep or 0, args.max_timestep or 1000, (len(clean),)).to(clean.device)
    a, s = (t[level][:, None, None, None] for t in network.schedule)
    noisy = a * clean + s * noise
    velocity = network(noisy, level, captions, args.clip_skip or 1).float()
    if args.v_parameterization:
        predicted, target = velocity, a * noise - s * clean
    else:
        predicted, target = s * noisy + a * velocity, noise
    if args.loss_type in ("huber", "smooth_l1"):
        loss = F.smooth_l1_loss(predicted, target, reduction="none", beta=args.huber_c)
    else:
        loss = (F.l1_loss if args.loss_type == "l1" else F.mse_loss)(predicted, target, reduction="none")
    loss = loss.mean([1, 2, 3])
    snr = ((a / s.clamp(min=1e-6)) ** 2).flatten()
    if args.min_snr_gamma:  # arXiv 2303.09556
        loss = loss * snr.clamp(max=args.min_snr_gamma) / (snr + 1 if args.v_parameterization else snr).clamp(min=1e-8)
    if args.debiased_estimation_loss:  # arXiv 2310.08442
        loss = loss / snr.clamp(min=1e-8, max=1000).sqrt()
    return loss.mean()
