"""A run of the sweep as the store keeps it.

Covers: the one way from `Run` to `RunRecord`; no secret goes along, neither as an option nor inside one.
Not: attempts, which only the store knows.
"""

from __future__ import annotations

from ..config.key_sets import MASKED
from ..config.masking import masker_of
from ..records import Run, RunRecord


def record_of(run: Run) -> RunRecord:
    values = {key: option.value for key, option in run.options.items()}
    options = masker_of(values).value({key: value for key, value in values.items() if key not in MASKED})
    return RunRecord(run.key, run.index, run.number, run.name, run.slug, dict(run.varied), options)
