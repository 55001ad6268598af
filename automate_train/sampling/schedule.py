"""Which checkpoints are due, and what they are called on a server. Pure.

Covers: a run's rule applied to its checkpoints, the name's ending, epochs that were asked for.
Not: the rule itself (`config/sampling_options`), which checkpoints and prompts there are (`planner`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..config.sampling_options import SampleRule
from ..records import Checkpoint


def is_due(checkpoint: Checkpoint, rule: SampleRule, epochs: Sequence[range] | None = None) -> bool:
    """`epochs`: those of a person who names them; then the rule does not matter."""
    if checkpoint.which not in ("epoch", "step", "last"):
        return False
    if epochs is not None:
        whole = checkpoint.which != "step"
        return whole and any(checkpoint.epoch in each for each in epochs if checkpoint.epoch is not None)
    if checkpoint.which == "last":
        return True
    if rule.unit is None or (rule.unit == "epoch" and checkpoint.which == "step"):
        return False  # a step's checkpoint lies within an epoch
    number = checkpoint.epoch if rule.unit == "epoch" else checkpoint.step
    return number is not None and number % rule.count == 0


def lora_name(sweep: str, key: str, attempt: int, checkpoint: Checkpoint, nonce: str) -> str:
    """`at-<sweep>-<run>-a1-e000002-<nonce>`: unique on every server, for the name alone decides which LoRA is drawn.
    The nonce makes it unique in time too: what an earlier upload left in caches or histories is never met again."""
    of = {"epoch": f"e{checkpoint.epoch or 0:06d}", "step": f"s{checkpoint.step or 0:08d}"}.get(
        checkpoint.which, "last"
    )
    return f"at-{sweep}-{re.sub(r'[^A-Za-z0-9_-]', '-', key[:8])}-a{attempt}-{of}-{nonce}"


def lora_folder(sweep: str) -> str:
    return f"automate-train-{sweep}"
