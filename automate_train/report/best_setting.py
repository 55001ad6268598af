"""Which setting is best: by the scores, by a person's votes or by epoch_loss; why, and how sure that is.

Covers: choosing the setting and its run, the sentences that go with the choice. Not: the verdicts (`judging`), choosing
by stars (`best`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from ..errors import UserError, pip_install
from ..records import RunRecord, Score
from ..store.votes import Vote
from ..sweep.settings import Spread, by_setting, spread
from ..trainers.loss_meaning import loss_note

ONE_SEED = 'each setting has one seed, so nobody knows what is chance: "replicates": 3 trains two more'
TRAINING_LOSS = "a training loss says how well a run fits its own pictures, and does not say which LoRA is better"
OTHERWISE = "choose otherwise: --run RUN, --marks marks.json (the page's Marks > Export), --by votes, --by epoch_loss"


class Choice(NamedTuple):
    run: RunRecord
    """The first replicate of the setting."""
    words: tuple[str, ...]
    """Why this one, and how sure that is."""


def by_held_out(runs: Sequence[RunRecord], scores: Sequence[Score], source: str) -> Choice:
    """By the page's own answer: of the settings that cannot be told from the best, the one with the lowest mean; one
    that has several seeds before all others. `UserError` where nothing can be compared, or numpy is missing."""
    try:
        from ..judging.answer import numbers  # numpy and scipy: 300 ms, and an extra
        from ..judging.sweep_answer import answer, setting_of
    except ModuleNotFoundError as error:
        raise _needs(error) from None
    answered = answer(runs, scores)
    found = answered.found
    if found is None:
        raise UserError(answered.sentences[0].removesuffix("."), source=source, hint=OTHERWISE)
    by_name = {each.setting: each for each in found.settings}
    best = by_name[next((name for name in found.best if by_name[name].seeds > 1), found.best[0])]
    said = f"{answered.score} {best.mean:.4g}, from one seed"
    if best.low is not None and best.high is not None:
        mean, low, high = numbers(best.mean, best.low, best.high)
        said = f"{answered.score} {mean}, 95 % interval {low} to {high}"
    why = f"taken: {best.setting}, {said}" + (f", the lowest mean of these {len(found.best)}" if found.best[1:] else "")
    run = next(run for run in runs if run.key in answered.runs and setting_of(run) == best.setting)
    return Choice(run, (*answered.sentences, why, f"based on {answered.based_on}"))


def by_votes(runs: Sequence[RunRecord], votes: Iterable[Vote], source: str) -> Choice:
    """By the strength of each setting in the votes. `UserError` where there are none, or numpy is missing."""
    try:
        from ..judging.votes import results_of, taste  # numpy: 100 ms, and an extra
    except ModuleNotFoundError as error:
        raise _needs(error) from None
    results = results_of(votes, runs)
    found = taste(results)
    if not found.settings:
        hint = f"automate-train vote {source}"
        raise UserError("there are no votes on two settings of this sweep", source=source, key="--by", hint=hint)
    best = found.settings[0]
    odds, low, high = (f"{100 / (1 + math.exp(-each)):.0f}" for each in (best.strength, best.low, best.high))
    words = [
        f"{best.setting} won most by your {len(results)} vote{'s' if len(results) > 1 else ''}: preferred to an "
        f"average setting in {odds} % (95 % interval {low} to {high} %)"
    ]
    if others := found.best[1:]:
        which = ", ".join(others[:4]) + (f" and {len(others) - 4} more" if others[4:] else "")
        words.append(f"the votes do not tell it apart from {which}")
    mine = [run for run in runs if run.setting_name == best.setting]
    run = next((run for run in mine if run.in_sweep and run.state == "succeeded"), mine[0])
    return Choice(run, tuple(words))


def _needs(error: ModuleNotFoundError) -> UserError:
    hint = f"{pip_install('numpy', 'scipy')}; or --run RUN, --by epoch_loss"
    return UserError(
        f"{error.name} is not installed, so nothing can be compared", source="automate-train best", hint=hint
    )


def by_epoch_loss(runs: Iterable[RunRecord], source: str) -> Choice:
    """`UserError` where the losses cannot be compared, or no run has one."""
    runs = list(_finished(runs))
    if note := loss_note(run.varied for run in runs):
        raise UserError(note, source=source, key="--by", hint="name the run: --run RUN")
    known = {run.key: run.metrics.get("epoch_loss") for run in runs}
    losses = {key: value for key, value in known.items() if isinstance(value, float) and math.isfinite(value)}
    if not losses:
        hint = "name the run: --run RUN"
        raise UserError("no finished run has an epoch_loss", source=source, key="--by", hint=hint)
    return _lowest(runs, losses, "epoch_loss", [TRAINING_LOSS])


def _finished(runs: Iterable[RunRecord]) -> Iterable[RunRecord]:
    return (run for run in runs if run.in_sweep and run.state == "succeeded")


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
