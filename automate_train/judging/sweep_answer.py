"""What a sweep's scores say: which setting is better, how sure that is, at which epoch, and what to do next.

Covers: from runs and scores to one `SweepAnswer`, pure: which score stands for a run, what is left out and said to be.
Not: the statistics (`statistics`, `effects`), their words (`answer`), pages and lines (`report`, `display`).

A run is compared by its last checkpoint: choosing each run's best epoch by the same pictures would favour the settings
that vary most. Which epoch is best is told beside it.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Sized
from statistics import fmean
from typing import NamedTuple

from ..records import RunRecord, Score
from ..store.scores import REPORTED
from .answer import NextStep, next_steps, sentences
from .effects import BestEpoch, Effect, EpochRow, best_epoch, marginal_effects
from .statistics import Comparison, compare
from .variance import Row

ONE = "the setting of all runs"
"""The name of the setting where nothing but the seed varies."""


class Curve(NamedTuple):
    """The measure of one setting over its epochs."""

    setting: str
    epochs: BestEpoch


class SweepAnswer(NamedTuple):
    sentences: tuple[str, ...]
    """The verdict, or why there is none."""
    measure: str = ""
    score: str = "score"
    """What people call the number."""
    based_on: str = ""
    """What the verdict is based on, and what is left out."""
    found: Comparison | None = None
    """Of the last checkpoints; None: nothing can be compared."""
    points: Mapping[str, Mapping[str, str]] = {}
    """Setting -> its keys and values."""
    curves: tuple[Curve, ...] = ()
    effects: tuple[Effect, ...] = ()
    effect_sentences: tuple[str, ...] = ()
    """What each key does on average over the others, where the product is complete."""
    base: float | None = None
    """Mean score of the base model without a LoRA: the zero line."""
    next: tuple[NextStep, ...] = ()
    runs: Mapping[str, float] = {}
    """Run key -> mean score of its last checkpoint."""


def answer(records: Iterable[RunRecord], scores: Sequence[Score]) -> SweepAnswer:
    runs = {record.key: record for record in records if record.in_sweep}
    of_runs = [score for score in scores if score.run_key in runs]
    if not of_runs:
        return SweepAnswer((_why_none(runs.values()),))
    measure, others = _measure(of_runs)
    judged = [score for score in of_runs if score.measure == measure]
    last, partly = _last_checkpoints(runs, judged)
    base = [score.score for score in scores if score.measure == measure and not score.checkpoint]
    known = SweepAnswer(
        (),
        measure,
        "held-out error" if measure.startswith("held-out") else "score",
        _based_on(runs, last, partly, others),
        points={setting_of(run): run.setting for run in runs.values()},
        base=fmean(base) if base else None,
        runs={key: fmean(score.score for score in its) for key, its in last.items()},
    )
    if not last:
        return known._replace(sentences=("No run's last checkpoint is judged yet.",))
    rows = [
        Row(setting_of(runs[key]), _seed(runs[key]), score.item, score.score)
        for key, its in last.items()
        for score in its
    ]
    try:
        found = compare(rows)
        curves = tuple(_curves(runs, judged))
        effects = marginal_effects(rows, known.points)
    except ValueError as error:
        return known._replace(sentences=(f"Nothing can be compared: {error}.",))
    longer = {curve.setting for curve in curves if curve.epochs.is_last}
    return known._replace(
        sentences=(*sentences(found, score=known.score), *_epoch_sentences(found, curves)),
        found=found,
        curves=curves,
        effects=effects,
        effect_sentences=tuple(f"On average over the other keys: {_first(each, known.score)}" for each in effects),
        next=tuple(next_steps(found, known.points, longer)),
    )


def _first(effect: Effect, score: str) -> str:
    return sentences(effect.values, score=score)[0]


def setting_of(run: RunRecord) -> str:
    return " ".join(f"{key}={text}" for key, text in run.setting.items()) or ONE


def _why_none(runs: Iterable[RunRecord]) -> str:
    if any(run.options.get("held_out") for run in runs):
        return "No checkpoint is judged yet, so no setting can be called better."
    return (
        "No setting can be called better: no picture was held out, so nothing was measured that all runs share "
        '(add "held_out": 4 to the config of the next sweep).'
    )


def _measure(scores: Sequence[Score]) -> tuple[str, int]:
    """The measure of most runs, and how many runs have only other ones."""
    runs_of: dict[str, set[str]] = {}
    for score in scores:
        runs_of.setdefault(score.measure, set()).add(score.run_key)
    measure = max(runs_of, key=lambda name: (name.startswith("held-out"), len(runs_of[name]), name))
    return measure, len(set[str]().union(*runs_of.values()) - runs_of[measure])


def _last_checkpoints(runs: Mapping[str, RunRecord], scores: Iterable[Score]) -> tuple[dict[str, list[Score]], int]:
    """Run key -> the scores of its last checkpoint, of the runs that have ended well and are judged on all pictures;
    how many are judged on some of them."""
    of_run: dict[str, dict[str, list[Score]]] = {}
    for score in scores:
        of_run.setdefault(score.run_key, {}).setdefault(score.checkpoint, []).append(score)
    found = {}
    for key, of_checkpoint in of_run.items():
        if runs[key].state == "succeeded":
            saved = str(runs[key].metrics.get("checkpoint") or "")
            its = of_checkpoint.get(_inside(runs[key], saved)) if saved else max(of_checkpoint.values(), key=_place)
            if its:
                found[key] = its
    # A run that is judged on some pictures so far would leave only these for all runs. What programs report of
    # themselves is never known to be whole.
    all_items = {score.item for its in found.values() for score in its if score.measure != REPORTED}
    if not all_items:
        return found, 0
    whole = {key: its for key, its in found.items() if len({score.item for score in its}) == len(all_items)}
    return whole, len(found) - len(whole)


def _inside(run: RunRecord, checkpoint: str) -> str:
    """A checkpoint's path inside the sweep's folder, wherever that was when the trainer reported it."""
    _, found, rest = checkpoint.rpartition(f"{os.sep}{run.folder}{os.sep}")
    return f"{run.folder}/{rest}" if found else checkpoint


def _place(scores: Sequence[Score]) -> tuple[int, int]:
    return scores[0].epoch or 0, scores[0].step or 0


def _seed(run: RunRecord) -> str:
    """Runs whose seed the trainer draws have each their own."""
    return run.seed or run.id


def _curves(runs: Mapping[str, RunRecord], scores: Iterable[Score]) -> Iterable[Curve]:
    # Of two checkpoints of one epoch (a save by steps, the run's last file) the later line stands for the epoch.
    newest: dict[str, dict[tuple[int, str, str], EpochRow]] = {}
    for score in scores:
        if score.epoch is not None:
            run = runs[score.run_key]
            row = EpochRow(score.epoch, _seed(run), score.item, score.score)
            newest.setdefault(setting_of(run), {})[row[:3]] = row
    for setting, rows in newest.items():
        if (epochs := best_epoch(rows.values())) is not None:
            yield Curve(setting, epochs)


def _epoch_sentences(found: Comparison, curves: Sequence[Curve]) -> Iterable[str]:
    """Which of the best settings training on has made worse."""
    worse = []
    for curve in curves:
        last = max(int(each.setting) for each in curve.epochs.epochs.settings)
        if curve.setting in found.best and last not in curve.epochs.tied:
            worse.append(f"{curve.setting} was better at epoch {curve.epochs.epoch} than at its last, {last}.")
    yield from worse[:2]
    if len(worse) > 2:
        yield f"So were {len(worse) - 2} other settings: training on made them worse."


def _based_on(runs: Mapping[str, RunRecord], last: Mapping[str, Sequence[Score]], partly: int, others: int) -> str:
    seeds = Counter(setting_of(runs[key]) for key in last)
    items = {score.item for its in last.values() for score in its}
    few, many = min(seeds.values(), default=0), max(seeds.values(), default=0)
    each = f"{many}" if few == many else f"{few} to {many}"
    parts = []
    if last:
        parts.append(
            f"{len(seeds)} setting{_s(seeds)} with {each} seed{'' if many == 1 else 's'} each, {len(items)} "
            f"picture{_s(items)}, the last checkpoint of each run"
        )
    if partly:
        parts.append(f"{partly} of {len(runs)} runs are judged on fewer pictures and left out")
    if left := len(runs) - len(last) - partly - others:
        parts.append(f"{left} of {len(runs)} runs are not judged")
    if others:
        parts.append(f"{others} runs were measured otherwise (another base model or the like) and are left out")
    return "; ".join(parts)


def _s(things: Sized) -> str:
    return "" if len(things) == 1 else "s"
