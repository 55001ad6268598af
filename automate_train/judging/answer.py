"""A comparison in sentences that a person can quote, and what to do next as data.

Covers: words and numbers for 2 to 1,000 settings. Not: the verdicts (`judging/statistics`), commands and pages
(`display`, `report`).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Literal, NamedTuple

from .effects import BestEpoch
from .statistics import Comparison, Pair

NAMED = 4
"""How many settings a sentence names at most; more are counted."""

RETRAINED = 6
"""How many settings are trained again with more seeds at most: those with the best means."""


class NextStep(NamedTuple):
    what: Literal["seeds", "beyond", "longer"]
    """seeds: train `settings` with more seeds; beyond: give `key` a value that is lower or higher than `edge`;
    longer: train `settings` for more epochs."""
    settings: tuple[str, ...] = ()
    key: str = ""
    toward: Literal["", "lower", "higher"] = ""
    edge: str = ""


def sentences(found: Comparison, *, score: str = "score", higher: bool = False) -> list[str]:
    """`score`: what people call the number, as in `held-out error`."""
    judged = [each.setting for each in found.settings if each.seeds > 1]
    unknown = [each.setting for each in found.settings if each.seeds < 2]
    if len(found.settings) == 1:
        return [f"There is one setting, {found.settings[0].setting}: nothing to compare it with."]
    if len(judged) < 2:
        of = _names([each.setting for each in found.settings])
        who = "each was" if not judged else f"all but {judged[0]} were" if len(unknown) > 1 else f"{unknown[0]} was"
        return [f"Too few seeds to say which of {of} is better: {who} trained with one seed."]
    said = _of_judged(found, judged, score, higher)
    if unknown:
        said.append(f"Too few seeds to say anything of {_names(unknown, article='')}: trained with one.")
    return said


def _of_judged(found: Comparison, judged: list[str], score: str, higher: bool) -> list[str]:
    pairs = _by_winner(found, higher)
    best = [setting for setting in judged if setting in found.best]  # in the order of the rows, as people wrote them
    first = next(setting for setting in found.best if setting in judged)
    rest = _ranked(found, [setting for setting in judged if setting not in set(best)], higher)
    word = "higher" if higher else "lower"
    if not rest and len(best) == 2:
        pair = pairs[best[0], best[1]]
        low, high = numbers(*_bounds(pair))
        return [f"{_names(best)} cannot be told apart (difference in {score}: {low} to {high})."]
    if not rest:
        return [f"{_names(best, article='The ')} cannot be told apart."]

    # The first that the best one is known to beat: what the reader doubts first.
    beaten = [setting for setting in rest if pairs[first, setting].verdict == "better"]
    by = ""
    if beaten:
        low, high = numbers(*_bounds(pairs[first, beaten[0]]))
        by = f"{score} {word} by {low} to {high}"
    if best == [first] and len(rest) == 1:
        return [f"{first} is better than {rest[0]} ({by})."]
    if best == [first] and beaten == rest:
        others = f"each of the other {len(rest)} settings" + " with several seeds" * (len(judged) < len(found.settings))
        return [f"{first} is better than {others} (than the next, {rest[0]}: {by})."]
    which = _names(best) if len(best) <= NAMED else f"The best {len(best)} of {len(judged)} settings"
    said = [f"{which} cannot be told apart." if len(best) > 1 else f"No other setting is better than {first}."]
    if beaten:
        said.append(f"{first} is better than {beaten[0]} ({by}).")
    left = [setting for setting in rest if setting not in beaten[:1]]
    if left:
        who = f"The other {len(left)} settings are each" if len(left) > 1 else f"{left[0]} is"
        said.append(f"{who} worse than another setting.")
    return said


def epoch_sentence(found: BestEpoch, *, score: str = "score") -> str:
    tied = found.tied
    if len(found.epochs.settings) == 1:
        return f"There is one epoch, {found.epoch}: nothing to compare it with."
    if found.is_last:
        return f"Epoch {found.epoch}, the last, has the best {score}."
    if len(tied) == 1:
        return f"Epoch {found.epoch} has the best {score}."
    if len(tied) == len(found.epochs.settings):
        return f"The {len(tied)} epochs cannot be told apart; the first is {tied[0]}."
    return f"Epoch {found.epoch} has the best {score}, and {tied[0]} is the first that cannot be told from it."


def next_steps(
    found: Comparison,
    points: Mapping[str, Mapping[str, str]],
    last_epoch_best: Collection[str] = (),
) -> list[NextStep]:
    """`points`: setting -> its key -> value; `last_epoch_best`: the settings whose best epoch is their last.

    The order is that of use: first what may be better still, then what tells apart what is there.
    """
    steps = []
    best = found.best
    values: dict[str, list[str]] = {}
    for each in found.settings:
        for key, value in points.get(each.setting, {}).items():
            values.setdefault(key, []).append(value)
    for key, texts in values.items():
        numeric = {text: number for text in texts if (number := _number(text)) is not None}
        at_best = {points[setting].get(key, "") for setting in best if setting in points}
        if len(numeric) < len(set(texts)) or len(numeric) < 2 or len(at_best) != 1:
            continue
        (edge,) = at_best
        if numeric[edge] == min(numeric.values()):
            steps.append(NextStep("beyond", best, key, "lower", edge))
        elif numeric[edge] == max(numeric.values()):
            steps.append(NextStep("beyond", best, key, "higher", edge))
    longer = tuple(setting for setting in best if setting in last_epoch_best)
    if longer:
        steps.append(NextStep("longer", longer))
    if len(best) > 1:
        steps.append(NextStep("seeds", best[:RETRAINED]))
    return steps


def numbers(*values: float) -> list[str]:
    """Numbers that belong together, with as many decimals as tell them apart by two digits, and none as zero."""
    spread = max(values) - min(values) or max(map(abs, values)) or 1.0
    smallest = min((abs(value) for value in values if value), default=1.0)
    decimals = max(1 - math.floor(math.log10(spread)), -math.floor(math.log10(smallest)), 0)
    if decimals > 8 or max(map(abs, values)) >= 1e9:
        return [f"{value:.3g}" for value in values]
    return [f"{value:.{decimals}f}" for value in values]


def _by_winner(found: Comparison, higher: bool) -> dict[tuple[str, str], Pair]:
    """Each pair in both orders."""
    turned = {"better": "worse", "worse": "better"}
    both = {(pair.a, pair.b): pair for pair in found.pairs}
    for pair in found.pairs:
        if pair.low is not None and pair.high is not None:
            both[pair.b, pair.a] = Pair(
                pair.b, pair.a, -pair.difference, -pair.high, -pair.low, turned.get(pair.verdict, pair.verdict)  # type: ignore[arg-type]
            )  # fmt: skip
    return both


def _ranked(found: Comparison, settings: Sequence[str], higher: bool) -> list[str]:
    mean = {each.setting: each.mean for each in found.settings}
    return sorted(settings, key=lambda setting: -mean[setting] if higher else mean[setting])


def _bounds(pair: Pair) -> tuple[float, float]:
    """By how much a is away from b, without a sign where the verdict has it."""
    low, high = pair.low or 0.0, pair.high or 0.0
    if pair.verdict in ("better", "worse"):
        low, high = sorted((abs(low), abs(high)))
    return low, high


def _names(settings: Sequence[str], article: str = "the ") -> str:
    """`a, b and c`, or how many they are; the same key is said once: `network_dim=16 and 32`."""
    if len(settings) > NAMED:
        return f"{article}{len(settings)} settings"
    keys = {name.partition("=")[0] for name in settings}
    short = len(keys) == 1 and all(name.count("=") == 1 for name in settings)
    first, *others = settings
    shown = [first, *(name.partition("=")[2] if short else name for name in others)]
    return " and ".join(part for part in (", ".join(shown[:-1]), shown[-1]) if part)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
