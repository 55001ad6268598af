"""Which runs a person means: an index counts in the sweep as it is now, an id means one run for ever.

Covers: finding a run by either, and what `--only` names. Not: giving ids (`store.run_ids`), how they are typed
(`cli.parser`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..errors import Problem, UserError
from ..records import RunRecord
from .product import Sweep


def find_run(records: Iterable[RunRecord], word: str, sweep_dir: str) -> RunRecord:
    """`word`: an index, an id or a whole key. `UserError` when no run has it."""
    for record in records:
        if word in (record.id, record.key) or (record.in_sweep and word == str(record.index)):
            return record
    hint = f"automate-train status {sweep_dir} shows both"
    raise UserError(f"no run has the index or id {word}", source=sweep_dir, hint=hint)


def describe(record: RunRecord) -> str:
    """What a command says of the run that it took."""
    if not record.in_sweep:
        return f"run {record.id} {record.name}, which is no longer part of the sweep"
    return f"run {record.index} (id {record.id}) {record.name}"


def chosen_ranges(
    only: Sequence[range | str], sweep: Sweep, records: Iterable[RunRecord], sweep_dir: str
) -> tuple[list[range], list[Problem]]:
    """The indexes that `--only` names, and the runs among them that the sweep has no longer: an error when no other is
    named."""
    records = list(records)
    ranges, gone = [], []
    for each in only:
        if isinstance(each, range):
            ranges.append(each)
            continue
        record = find_run(records, each, sweep_dir)
        if (run := sweep.find(record.key, record.options)) is not None:
            ranges.append(range(run.index, run.index + 1))
        else:
            gone.append(f"run {record.id} ({record.name}) is no longer part of the sweep: its configs have changed")
    return ranges, [Problem("warning" if ranges else "error", "command line", "--only", each) for each in gone]


def runs_now(sweep: Sweep, records: Iterable[RunRecord]) -> Iterable[RunRecord]:
    """The runs that are part of the sweep as it is now, with their places and names there."""
    for record in records:
        if (run := sweep.find(record.key, record.options)) is not None:
            yield record._replace(
                index=run.index, number=run.number, name=run.name, slug=run.slug, varied=dict(run.varied)
            )


def is_named(record: RunRecord, only: Sequence[range | str]) -> bool:
    """Whether a run is among those that `only` names."""
    return any(
        record.id == each if isinstance(each, str) else record.in_sweep and record.index in each for each in only
    )
