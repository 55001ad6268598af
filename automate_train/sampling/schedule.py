"""Which checkpoints are due, and what they are called on a server. Pure.

Covers: a run's rule applied to its checkpoints, epochs that a person names, names on a server.
Not: the rule itself (`config.sampling_options`), which checkpoints and prompts there are (`planner`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..config.sampling_options import SampleRule
from ..records import Checkpoint


def is_due(checkpoint: Checkpoint, rule: SampleRule, epochs: Sequence[range] | None = None) -> bool:
    """`epochs`: those that a person names; then the rule does not matter."""
    if checkpoint.which not in ("epoch", "step", "last"):
        return False
    if epochs is not None:
        whole = checkpoint.which != "step"
        return whole and any(checkpoint.epoch in each for each in epochs if checkpoint.epoch is not None)
    if checkpoint.which == "last":
        return True
    if rule.unit is None or (rule.unit == "epoch" and checkpoint.which == "step"):
        return False  # a checkpoint of a step lies within an epoch
    number = checkpoint.epoch if rule.unit == "epoch" else checkpoint.step
    return number is not None and number % rule.every == 0


def lora_name(sweep: str, key: str, attempt: int, checkpoint: Checkpoint, nonce: str) -> str:
    """`at-<sweep>-<run>-a1-e000002-<nonce>`: unique on every server, for the name alone may decide which LoRA is used.
    The nonce makes it unique in time too: what an earlier upload left in caches or histories is never met again."""
    epoch, step = f"e{checkpoint.epoch or 0:06d}", f"s{checkpoint.step or 0:08d}"
    of = {"epoch": epoch, "step": step}.get(checkpoint.which, "last")
    return f"at-{sweep}-{re.sub(r'[^A-Za-z0-9_-]', '-', key[:8])}-a{attempt}-{of}-{nonce}"


def lora_folder(sweep: str) -> str:
    return f"automate-train-{sweep}"
