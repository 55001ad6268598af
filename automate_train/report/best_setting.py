"""Which setting has the lowest mean over its seeds, of the held-out scores or of epoch_loss, and how much that says.

Covers: succeeded runs of the sweep as it is now, each by its last checkpoint; the sentences that go with the choice.
Not: whether the difference is more than chance (`judging.statistics`), choosing by stars (`best`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from statistics import fmean
from typing import NamedTuple

from ..errors import UserError
from ..records import RunRecord, Score
from ..sweep.settings import Spread, by_setting, spread
from ..trainers.loss_meaning import loss_note

ONE_SEED = 'each setting has one seed, so nobody knows what is chance: "replicates": 3 trains two more'
TRAINING_LOSS = "a training loss says how well a run fits its own pictures, and does not say which LoRA is better"


class Choice(NamedTuple):
    run: RunRecord
    """The first replicate of the setting."""
    words: tuple[str, ...]
    """What was chosen and by what, then each caution."""


def by_epoch_loss(runs: Iterable[RunRecord], source: str) -> Choice:
    """`UserError` where the losses cannot be compared, or no run has one."""
    runs = list(_finished(runs))
    if note := loss_note(run.varied for run in runs):
        raise UserError(note, source=source, key="--by", hint="name the run: --run RUN")
    known = {run.key: run.metrics.get("epoch_loss") for run in runs}
    losses = {key: value for key, value in known.items() if isinstance(value, float) and isfinite(value)}
    if not losses:
        hint = "name the run: --run RUN"
        raise UserError("no finished run has an epoch_loss", source=source, key="--by", hint=hint)
    return _lowest(runs, losses, "epoch_loss", [TRAINING_LOSS])


def by_held_out(runs: Iterable[RunRecord], scores: Sequence[Score], source: str) -> Choice:
    """By the mean score of each run's last checkpoint, on the items on which all of them were scored. `UserError` where
    there are no scores, or no such items."""
    runs = list(_finished(runs))
    last = _last_checkpoints(runs, scores)
    if not last:
        hint = (
            "say which run: --marks marks.json (the page's Marks > Export), --run with an index or id, --by epoch_loss"
        )
        raise UserError("no checkpoint of a finished run has a score", source=source, hint=hint)
    common = set.intersection(*(set(items) for items in last.values()))
    if not common:
        text = "there is no picture on which the last checkpoints of all runs were scored"
        raise UserError(text, source=source, key="--by", hint="name the run: --run RUN")
    means = {key: fmean(items[item] for item in sorted(common)) for key, items in last.items()}
    left = (
        [f"finished runs without a score, which do not count: {len(runs) - len(last)}"] if len(last) < len(runs) else []
    )
    return _lowest(runs, means, f"score on {len(common)} items", left)


def _finished(runs: Iterable[RunRecord]) -> Iterable[RunRecord]:
    return (run for run in runs if run.in_sweep and run.state == "succeeded")


def _last_checkpoints(runs: Sequence[RunRecord], scores: Sequence[Score]) -> Mapping[str, Mapping[str, float]]:
    """Run's key -> item -> score of its last checkpoint; of several measures by that which most runs have."""
    measures: dict[str, dict[str, dict[str, list[Score]]]] = {}
    keys = {run.key for run in runs}
    for score in scores:
        if score.run_key in keys:
            checkpoints = measures.setdefault(score.measure, {}).setdefault(score.run_key, {})
            checkpoints.setdefault(score.checkpoint, []).append(score)
    measured = max(measures.values(), key=len, default={})
    return {
        key: {each.item: each.score for each in max(checkpoints.values(), key=lambda group: _place(group[0]))}
        for key, checkpoints in measured.items()
    }


def _place(score: Score) -> tuple[float, float]:
    """Where in its training a checkpoint was saved; the last one of a training may have neither number."""
    unknown = float("inf")
    return score.step if score.step is not None else unknown, score.epoch if score.epoch is not None else unknown


def _lowest(runs: Sequence[RunRecord], values: Mapping[str, float], name: str, cautions: list[str]) -> Choice:
    spreads: dict[str, Spread] = {}
    counted = {setting: [run for run in each if run.key in values] for setting, each in by_setting(runs).items()}
    for setting, each in counted.items():
        if (found := spread(values[run.key] for run in each)) is not None:
            spreads[setting] = found
    best, *others = sorted(spreads, key=lambda setting: spreads[setting].mean)
    seeds = len(counted[best])
    says = f"{best or 'the one setting'}: {name} {spreads[best]}, mean of {seeds} seed{'s' if seeds > 1 else ''}"
    if others:
        says += f", the lowest of {len(spreads)} settings; next {others[0]} with {spreads[others[0]]}"
        if max(map(len, counted.values())) < 2:
            cautions = [*cautions, ONE_SEED]
        elif spreads[others[0]].low <= spreads[best].high:
            cautions = [*cautions, "the ranges of these two overlap: their difference may be chance"]
    return Choice(counted[best][0], (says, *cautions))
