"""What to do next, as a sentence and as flags for the sweep's own command.

Covers: each `NextStep` in words, with the values that it needs. Not: which step is worth it (`answer`), the command
itself (`display`, `report`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ..config.values import whole
from ..records import SEED, RunRecord
from .answer import NextStep
from .sweep_answer import setting_of

EPOCHS = ("max_train_epochs", "epoch_num", "epochs")
MORE_SEEDS = 2
LONGER = 2
"""Times as many epochs."""


class Suggestion(NamedTuple):
    text: str
    flags: tuple[str, ...] = ()
    """To add to the command; empty where nobody can say which."""


def suggestion(step: NextStep, records: Iterable[RunRecord]) -> Suggestion:
    runs = [record for record in records if record.in_sweep]
    if step.what == "seeds":
        return _more_seeds(step, runs)
    if step.what == "beyond":
        return _beyond(step, runs)
    return _longer(runs)


def _more_seeds(step: NextStep, runs: Sequence[RunRecord]) -> Suggestion:
    which = "this setting" if len(step.settings) == 1 else f"these {len(step.settings)} settings"
    text = f"Train {which} with {MORE_SEEDS} more seeds each: {', '.join(step.settings[:4])}"
    text += ", ..." if len(step.settings) > 4 else ""
    seeds = [whole(seed) for seed in dict.fromkeys(run.seed for run in runs)]
    known = [seed for seed in seeds if seed is not None]
    if not known or len(known) < len(seeds):
        return Suggestion(text, ("--set", f"replicates={1 + MORE_SEEDS}"))
    more = [*known, *range(max(known) + 1, max(known) + 1 + MORE_SEEDS)]
    if known != list(range(known[0], known[0] + len(known))):
        return Suggestion(text, ("--set", f"{SEED}_list={json.dumps(more)}"))
    places = _places(step, runs, len(known))
    only = ("--only", places) if places else ()
    return Suggestion(text, ("--set", f"replicates={len(more)}", *only))


def _places(step: NextStep, runs: Sequence[RunRecord], seeds: int) -> str:
    """Indexes of the new runs of these settings: replicates are the slowest axis. Empty for all settings."""
    first = {setting_of(run): run.index for run in sorted(runs, key=lambda run: -run.index)}
    count = len(first)
    if set(step.settings) >= set(first) or len(runs) != count * seeds or max(first.values()) >= count:
        return ""
    at = sorted(first[setting] for setting in step.settings if setting in first)
    return _ranges([seed * count + each for seed in range(seeds, seeds + MORE_SEEDS) for each in at])


def _ranges(places: Sequence[int]) -> str:
    """Ascending numbers as `--only` takes them: `0,3,5-7`."""
    parts: list[list[int]] = []
    for place in places:
        if parts and parts[-1][-1] == place - 1:
            parts[-1] = [parts[-1][0], place]
        else:
            parts.append([place])
    return ",".join("-".join(map(str, part)) for part in parts)


def _beyond(step: NextStep, runs: Iterable[RunRecord]) -> Suggestion:
    word = "lowest" if step.toward == "lower" else "highest"
    text = f"The best {step.key} is the {word} that was tried, {step.edge}: try a {step.toward} one"
    texts = dict.fromkeys(run.varied[step.key] for run in runs if step.key in run.varied)
    values = sorted(texts, key=float)
    edge, next_to = (values[0], values[1]) if step.toward == "lower" else (values[-1], values[-2])
    new = _beyond_edge(float(edge), float(next_to), all(text.isdecimal() for text in values))
    if new is None:
        return Suggestion(text)
    listed = [new, *values] if step.toward == "lower" else [*values, new]
    return Suggestion(text, ("--set", f"{step.key}_list=[{', '.join(listed)}]"))


def _beyond_edge(edge: float, next_to: float, is_whole: bool) -> str | None:
    """As far beyond the edge as its neighbour is within, by ratio where both are above 0."""
    new = edge * edge / next_to if edge > 0 and next_to > 0 else 2 * edge - next_to
    if not math.isfinite(new) or (is_whole and round(new) in (0, edge)):
        return None
    return str(round(new)) if is_whole else f"{new:.3g}"


def _longer(runs: Sequence[RunRecord]) -> Suggestion:
    text = "The last epoch is the best so far: train longer"
    for key in EPOCHS:
        counts = {whole(run.options.get(key)) for run in runs if run.options.get(key) is not None}
        if len(counts) == 1 and (epochs := counts.pop()):
            return Suggestion(text, ("--set", f"{key}={epochs * LONGER}"))
    return Suggestion(text)
