"""The plan as people and programs read it; what `--dry-run` prints.

Covers: rendering (axes, options with their sources, runs, dropped points, problems), with secrets masked; which runs
have succeeded before; the command that would start a run. Not: making the plan (`sweep`), finding problems (`checks`),
printing (`pipeline`). Nothing is written.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import closing
from itertools import islice

from ..config.masking import Masker
from ..config.values import text_of
from ..errors import Problem, UserError
from ..executors.slurm_options import table_of
from ..executors.slurm_script import PROGRAM, arguments
from ..executors.slurm_script import head as script_head
from ..records import Dropped, Launch, Run, RunRecord, Setting, SweepContext
from ..store.held_out import HeldOut, as_dict
from ..store.journal import Journal
from ..store.layout import AttemptFolder, SweepFolder, attempt_folder, run_folder
from ..store.sweep_file import rerun_after
from ..sweep.product import Sweep
from ..sweep.record import record_of
from ..sweep.selection import Selection
from ..trainers import load

PREVIEW = 12
SEARCHED = 20_000
"""Points in which runs and dropped points to show are looked for: nobody reads a plan of a million points."""


def known(folder: SweepFolder, rerun: Sequence[str] | None) -> tuple[set[str], list[RunRecord]]:
    """(keys of runs that are done, the runs that the journal knows); of a damaged journal none, until the sweep has
    read them back. `rerun`: the command with --rerun; what it has not run again is not done."""
    journal = _journal(folder)
    if journal is None:
        return set(), []
    with closing(journal):
        after = 0 if rerun is None else rerun_after(journal, rerun)
        return journal.done(after), list(journal.records())


def _journal(folder: SweepFolder) -> Journal | None:
    if not os.path.exists(folder.journal) or Journal.is_damaged(folder.journal):
        return None
    return Journal(folder.journal, read_only=True)


def _preview(context: SweepContext) -> Callable[[Run], tuple[Launch | None, AttemptFolder]]:
    """A function of a run: what would start it, and the attempt's folder that it would get; (None, folder) when it
    cannot be prepared."""
    folder = SweepFolder(context.temp_dir, context.project)
    journal = _journal(folder)

    def preview(run: Run) -> tuple[Launch | None, AttemptFolder]:
        inside = (
            journal.next_attempt(record_of(run)) if journal else attempt_folder(run_folder(run.number, run.slug), 1)
        )
        attempt = folder.attempt(inside)
        try:
            launch = load(run.options["trainer"].value).prepare(run, attempt, context)
            return launch._replace(slurm=table_of(run)), attempt
        except UserError:
            return None, attempt

    return preview


def head(selection: Selection) -> Iterator[str]:
    """The sweep in a few words: size and axes."""
    sweep, left, done = selection.sweep, selection.left(), selection.known_done()
    sizes = " x ".join(f"{len(texts)} {key}" for axis in sweep.axes for key, texts in islice(axis.texts.items(), 1))
    count = f"{sweep.size} run{'s' if sweep.size != 1 else ''}"
    rest = f", {done} already done" if done else ""
    rest += f", {left} to do" if left is not None and left != sweep.size else ""
    yield f"{sweep.project}: {count}" + (f" ({sizes})" if sizes else "") + rest


def human(
    context: SweepContext, selection: Selection, done: Set[str], masker: Masker, *, commands: bool
) -> Iterator[str]:
    """The whole plan in lines; `commands`: with the command of each run."""
    sweep = selection.sweep
    preview = _preview(context) if commands else None
    runs: list[Run] = []
    dropped: list[Dropped] = []
    lines: list[str] = []
    for point in islice(selection.chosen(), SEARCHED):
        if len(runs) > PREVIEW and len(dropped) > PREVIEW and not commands:
            break
        if isinstance(point, Dropped):
            dropped.append(point)
            continue
        runs.append(point)
        if len(runs) <= PREVIEW or preview:
            lines.append(f"  {point.number:>5}  {point.name}" + ("   (done)" if point.key in done else ""))
        if preview:
            launch, folder = preview(point)
            lines += [f"         {line}".rstrip() for line in _command(launch, context, folder, masker)]
    yield from map(masker.text, _axes(sweep))
    yield from _shared(runs[0], masker) if runs else ()
    yield "runs:"
    yield from map(masker.text, lines or ["  none"])
    if preview and context.executor != "local":
        yield from ("the rest of each batch script:", *(f"         {line}" for line in PROGRAM.splitlines()))
    if len(runs) > PREVIEW and (not commands or len(runs) + len(dropped) == SEARCHED):
        yield f"  ... and more: {sweep.size} in all"
    if dropped:
        yield "dropped:"
        yield from (f"  {each.index:>5}  {each.reason}" for each in dropped[:PREVIEW])
        if len(dropped) > PREVIEW:
            yield "  ... and more"


def _command(
    launch: Launch | None, context: SweepContext, folder: AttemptFolder, masker: Masker
) -> Sequence[str]:  # fmt: skip
    """What would start a run: its command, or the batch script of its job."""
    if launch is None:
        return ["cannot be prepared: see the errors"]
    launch = launch._replace(argv=masker.value(launch.argv), env=masker.value(launch.env))
    return (
        [shlex.join(launch.argv)]
        if context.executor == "local"
        else [*script_head(launch, folder), *arguments(launch, folder)]
    )


def _axes(sweep: Sweep) -> Iterator[str]:
    if sweep.axes:
        yield "varied:"
    for axis in sweep.axes:
        for key, texts in axis.texts.items():
            values = ", ".join(texts[:8]) + (f", ... ({len(texts)} values)" if len(texts) > 8 else "")
            yield f"  {key:<28} {values:<40} {axis.source}"


def _shared(first: Run, masker: Masker) -> Iterator[str]:
    """The options that all runs share, as the first run has them; built-in ones first."""
    yield "the same in all runs:"
    in_order = sorted(first.options.items(), key=lambda item: item[1].source.label != "built-in")
    same = [(key, setting) for key, setting in in_order if setting.written not in first.varied]
    names = [key if setting.written == key else f"{setting.written} = {key}" for key, setting in same]
    width = max(map(len, names), default=0)
    for name, (key, setting) in zip(names, same, strict=True):
        yield f"  {name:<{width}}  {masker.option(key, text_of(setting.value)):<40} {setting.source}"


def as_json(
    context: SweepContext, selection: Selection, held_out: HeldOut | None, done: Set[str], problems: list[Problem],
    masker: Masker,
) -> Iterator[str]:  # fmt: skip
    """One JSON object in pieces: a plan of a million points is never held in memory."""
    preview = _preview(context)
    project, temp_dir = map(json.dumps, masker.value((selection.sweep.project, context.temp_dir)))
    yield f'{{"project": {project}, "temp_dir": {temp_dir}, "runs": ['
    dropped: list[Dropped] = []
    comma = ""
    for point in selection.chosen():
        if isinstance(point, Dropped):
            dropped.append(point)
            continue
        launch, folder = preview(point)
        entry = {
            "index": point.index,
            "key": point.key,
            "name": point.name,
            "varied": {setting.written: setting.value for setting in _varied(point)},
            "options": {key: masker.option(key, option.value) for key, option in point.options.items()},
            "gpus": launch.gpus if launch else None,
            "argv": list(launch.argv) if launch else None,
            "cwd": launch.cwd if launch else None,
            "folder": str(folder.path),
            "done": point.key in done,
        }
        yield comma + "\n" + json.dumps(masker.value(entry), ensure_ascii=False)
        comma = ","
    yield '\n], "held_out": ' + json.dumps(held_out and as_dict(held_out), ensure_ascii=False)
    yield ', "dropped": ' + json.dumps([point._asdict() for point in dropped], ensure_ascii=False)
    yield (
        ', "problems": '
        + json.dumps([masker.problem(problem)._asdict() for problem in problems], ensure_ascii=False)
        + "}\n"
    )


def problem_lines(problems: list[Problem]) -> Iterator[str]:
    return (f"{problem.severity}: {problem}" for problem in problems)


def _varied(run: Run) -> Iterator[Setting]:
    return (setting for setting in run.options.values() if setting.written in run.varied)
