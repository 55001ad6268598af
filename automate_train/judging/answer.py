"""A comparison in sentences that a person can quote, and what to do next as data.

Covers: words and numbers for 2 to 2,000 settings. Not: the verdicts (`judging/statistics`), commands and pages
(`display`, `report`).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Literal, NamedTuple

from .statistics import Comparison, Pair

NAMED = 4
"""How many settings a sentence names at most; more are counted."""


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
        each = "each was" if len(unknown) == len(found.settings) else "all but one were"
        of = _names(found.best) if len(found.best) <= NAMED else f"the {len(found.best)} settings"
        return [f"Too few seeds to say which of {of} is better: {each} trained with one seed."]
    said = _of_judged(found, judged, score, higher)
    if unknown:
        which = _names(unknown) if len(unknown) <= NAMED else f"{len(unknown)} settings"
        said.append(f"Too few seeds to say anything of {which}, trained with one.")
    return said


def _of_judged(found: Comparison, judged: list[str], score: str, higher: bool) -> list[str]:
    pairs = _by_winner(found, higher)
    best = [setting for setting in found.best if setting in set(judged)]
    rest = _ranked(found, [setting for setting in judged if setting not in set(best)], higher)
    word = "higher" if higher else "lower"
    if not rest and len(best) == 2:
        pair = pairs[best[0], best[1]]
        low, high = numbers(*_bounds(pair))
        return [f"{_names(best)} cannot be told apart (difference in {score}: {low} to {high})."]
    if not rest:
        which = _names(best) if len(best) <= NAMED else f"The {len(best)} settings"
        return [f"{which} cannot be told apart."]

    # The setting that the best one is known to beat with the least distance: what the reader doubts first.
    loser = next((each for each in rest if pairs[best[0], each].verdict == "better"), None)
    by = ""
    if loser is not None:
        low, high = numbers(*_bounds(pairs[best[0], loser]))
        by = f"{score} {word} by {low} to {high}"
    if len(best) == 1 and len(rest) == 1:
        return [f"{best[0]} is better than {rest[0]} ({by})."]
    if len(best) == 1 and all(pairs[best[0], each].verdict == "better" for each in rest):
        return [f"{best[0]} is better than each of the other {len(rest)} settings (than the next, {loser}: {by})."]
    which = _names(best) if len(best) <= NAMED else f"The best {len(best)} of {len(judged)} settings"
    said = [f"{which} cannot be told apart."] if len(best) > 1 else [f"No other setting is better than {best[0]}."]
    if loser is not None:
        said.append(f"{best[0]} is better than {loser} ({by}).")
    others = [each for each in rest if each != loser]
    if others:
        who = f"The other {len(others)} settings are each" if len(others) > 1 else f"{others[0]} is"
        said.append(f"{who} worse than another setting.")
    return said


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
        steps.append(NextStep("seeds", best))
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


def _names(settings: Sequence[str]) -> str:
    """`a, b and c`; the same key is said once: `network_dim=16 and 32`."""
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
