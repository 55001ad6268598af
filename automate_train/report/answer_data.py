"""The page's first screen as a JSON-able object: what the scores say, and what to do next.

{sentences, effects, based_on, score, base, next: [{text, flags}], runs: {run's key: score of its last checkpoint},
 settings: [{name, values, mean, low, high, seeds, best, epochs: [{epoch, mean, low, high}], best_epochs}]}
`settings`: the best mean first; empty where nothing can be compared, and then `sentences` says why.

Covers: the shape. Not: the verdict (`judging`), drawing it (`web/js/answer.js`).
"""

from __future__ import annotations

from collections.abc import Sequence

from ..judging.effects import BestEpoch
from ..judging.suggestion import suggestion
from ..judging.sweep_answer import answer as answer_of
from ..records import RunRecord, Score


def answer_data(runs: Sequence[RunRecord], scores: Sequence[Score]) -> dict[str, object]:
    answer = answer_of(runs, scores)
    curves = {curve.setting: curve.epochs for curve in answer.curves}
    settings = answer.found.settings if answer.found else ()
    best = set(answer.found.best) if answer.found else set()
    return {
        "sentences": list(answer.sentences),
        "effects": list(answer.effect_sentences),
        "based_on": answer.based_on,
        "score": answer.score,
        "base": answer.base,
        "next": [suggestion(step, runs)._asdict() for step in answer.next],
        "runs": dict(answer.runs),
        "settings": [
            {
                "name": each.setting,
                "values": dict(answer.points.get(each.setting, {})),
                "mean": each.mean,
                "low": each.low,
                "high": each.high,
                "seeds": each.seeds,
                "best": each.setting in best,
                "epochs": _epochs(curves.get(each.setting)),
                "best_epochs": list(curves[each.setting].tied) if each.setting in curves else [],
            }
            for each in sorted(settings, key=lambda each: each.mean)
        ],
    }


def _epochs(found: BestEpoch | None) -> list[dict[str, object]]:
    if found is None:
        return []
    each = sorted(found.epochs.settings, key=lambda each: int(each.setting))
    return [{"epoch": int(at.setting), "mean": at.mean, "low": at.low, "high": at.high} for at in each]
