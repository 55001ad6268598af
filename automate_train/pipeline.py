"""The sweep's command, one step after the other: load, expand, check, plan (`run`); train, sample, report (`execute`).

Covers: the order of the steps, from what a person asked for to the summary's lines; lock, journal, signals while runs
are trained. Not: how a step is done (the room that it names), the command line (`cli`).
"""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from itertools import islice
from typing import NamedTuple, TextIO

from . import executors
from .config.layers import load
from .config.masking import Masker, masker_of
from .config.sampling_options import on_webui, sampler_environment
from .display import summary
from .display.live import choose
from .display.plain import Plain
from .display.results import write_results
from .errors import Problem, UserError
from .judging.process import JudgeRequest, judge_process, judge_request
from .machine import background, lock
from .machine.child_process import own_command
from .machine.following_process import FollowingProcess
from .machine.gpus import Gpu
from .preflight import cluster
from .preflight import held_out as held_out_pictures
from .preflight import plan as plan_text
from .preflight.checks import check, secrets_in_names
from .preflight.context import context_of
from .records import Setting, SweepContext
from .report.worker import ReportWorker
from .sampling.process import sampler_process
from .store.held_out import HeldOut
from .store.history import Histories
from .store.journal import Journal, JournalError
from .store.layout import SweepFolder
from .store.rebuild import open_journal
from .store.sweep_file import note_sweep, rerun_after
from .sweep.choice import chosen_ranges, runs_now
from .sweep.product import expand
from .sweep.record import record_of
from .sweep.request import SweepRequest
from .sweep.selection import Selection, select
from .sweep.strategies.grid import Grid
from .trainers import events_of
from .training.adoption import left_behind
from .training.delivery import Delivery, undelivered
from .training.followers import finish
from .training.loop import Loop
from .training.signals import StopSignals

KNOWN_AHEAD = 10_000
"""Waiting runs that `status` can list before they begin."""


class Plan(NamedTuple):
    """Everything that is decided before anything starts."""

    context: SweepContext
    gpus: list[Gpu]
    selection: Selection
    held_out: HeldOut | None
    webui: Mapping[str, str] | None
    """Some runs are sampled on a WebUI; the environment variables that only the sampler gets (passwords)."""
    plain: bool
    rerun: bool = False
    """What has succeeded is run again."""
    samples_must: bool = False
    masker: Masker = Masker()
    judge: JudgeRequest | None = None
    """How the checkpoints are measured; None: not by the sweep."""

    @property
    def folder(self) -> SweepFolder:
        return SweepFolder(self.context.temp_dir, self.context.project)


def run(request: SweepRequest) -> int:
    """The exit code: 0, 1 when a run failed, 2 when something is wrong, 130 when a person stopped it."""
    settings, problems = load(request.config_files, request.sets, request.overrides)
    masker = masker_of({key: setting.value for key, setting in settings.items()}, os.environ)
    try:
        return _run(request._replace(command=masker.command(request.command)), settings, problems, masker)
    except UserError as error:
        error.problem = masker.problem(error.problem)
        raise
    except Exception as error:
        masker.error(error)
        raise


def _run(request: SweepRequest, settings: dict[str, Setting], problems: list[Problem], masker: Masker) -> int:
    """`request`: with a masked command."""
    sweep = expand(settings, number_start=request.train_id_start)
    context, gpus, found = context_of(request, sweep.project, settings)
    folder = SweepFolder(context.temp_dir, context.project)
    done, records = plan_text.known(folder, request.command if request.rerun else None)
    only = None
    if request.only is not None:
        only, gone = chosen_ranges(request.only, sweep, records, str(folder.path))
        problems += gone
    selection = select(sweep, only, request.skip_to_index, done)
    held_out = held_out_pictures.find(sweep, settings, context, records)
    context = context._replace(held_out=held_out.paths)
    problems += [*secrets_in_names(sweep, masker), *found, *held_out.problems]
    problems = list(dict.fromkeys([*problems, *check(selection, context, gpus, starts=not request.dry_run)]))
    refused = any(problem.severity == "error" for problem in problems)
    _print_plan(request, context, selection, held_out, done, problems, masker, not (request.dry_run or refused))
    if request.dry_run or refused:
        return 2 if refused else 0
    if request.check_cluster:
        for run in islice(selection.sweep.covering(), 1):
            _print(cluster.look_at_a_node(run, context), sys.stdout, starts=False)
        return 0
    if request.in_background is not None:
        return _start_in_background(request.in_background, folder)
    plan = Plan(
        context, gpus or [], selection, held_out.held_out, _sampler_secrets(selection), request.plain, request.rerun,
        request.samples_must, masker, judge_request(settings),
    )  # fmt: skip
    return execute(plan)


def _print_plan(
    request: SweepRequest, context: SweepContext, selection: Selection, held_out: held_out_pictures.Found,
    done: set[str], problems: list[Problem], masker: Masker, starts: bool,
) -> None:  # fmt: skip
    if request.json:
        for piece in plan_text.as_json(context, selection, held_out.held_out, done, problems, masker):
            sys.stdout.write(piece)
        return
    _print(map(masker.text, plan_text.head(selection)), sys.stdout, starts)
    if request.dry_run:
        _print(plan_text.human(context, selection, done, masker, commands=request.verbose), sys.stdout, starts)
    _print(map(masker.text, held_out.lines), sys.stdout, starts)
    _print(map(masker.text, plan_text.problem_lines(problems)), sys.stderr, starts)


def _print(lines: Iterable[str], stream: TextIO, starts: bool) -> None:
    """`starts`: a sweep follows, and a full log disk must not keep it from starting."""
    for line in lines:
        try:
            print(line, file=stream, flush=True)
        except (OSError, ValueError):
            if not starts:
                raise


def _start_in_background(arguments: tuple[str, ...], folder: SweepFolder) -> int:
    """Start the same command in a session of its own, and say how to follow it."""
    log = folder.background_log
    child = background.start(own_command(*arguments), log, folder.lock)
    path = shlex.quote(str(folder.path))
    if child.exit_code is not None:
        print(f"the sweep has ended already (exit code {child.exit_code}); its output: {log}")
        return child.exit_code
    print(f"{child} goes on without this terminal; its output: {log}")
    print(f"  automate-train status {path} --watch")
    print(f"  automate-train stop {path}")
    return 0


def _sampler_secrets(selection: Selection) -> dict[str, str] | None:
    """The environment variables that only the sampler gets; None when no run is sampled on a WebUI."""
    for run in selection.sweep.covering():
        options = {key: option.value for key, option in run.options.items()}
        if on_webui(options):
            return sampler_environment(options)
    return None


def execute(plan: Plan) -> int:
    """Run what is to be done; the exit code: 0, 1 when a run failed or another machine still trains one, 130 when a
    person stopped it."""
    began = time.monotonic()
    folder, context = plan.folder, plan.context
    with ExitStack() as stack:
        # As long as the lock, and longer: whoever sees who holds it may ask to stop.
        stop = stack.enter_context(StopSignals())
        stack.enter_context(lock.held(folder.lock))
        display = choose(plan.plain, context.slots, plan.masker)
        stack.callback(display.close)
        journal = open_journal(folder, display.say)
        stack.callback(journal.close)
        first = journal.first_open()
        held_out_pictures.keep(folder, plan.held_out, journal.records())
        # Again, under the lock: another orchestrator may have trained all of it while we were checking our configs.
        after = rerun_after(journal, context.command) if plan.rerun else 0
        plan = plan._replace(selection=plan.selection._replace(done=journal.done(after)))
        report, sampler = ReportWorker(folder), _sampler(plan, display)
        judge = judge_process(folder, plan.judge, context.cpu, display.say) if plan.judge else None
        following = [each for each in (sampler, judge if plan.judge and plan.judge.beside else None) if each]
        loop = Loop(
            context=context, strategy=Grid(plan.selection.todo(), after),
            histories=Histories(folder, journal, events_of), total=_count(plan.selection), journal=journal,
            executor=executors.load(context.executor), display=display, delivery=Delivery(folder), stop=stop,
            followers=[*following, report], clock=time.monotonic, now=time.time,
            masker=plan.masker,
        )  # fmt: skip
        _train(plan, loop, report, after)
        display.close()
        if sampler:
            finish(sampler, stop, display.say, "the last samples are being made")
        _note_end(plan, loop, journal, display)
        # What is measured may take long, and is no part of the trainings' end.
        if judge and (judge.wake_on or not stop.level):
            finish(judge, stop, display.say, "their checkpoints are being measured")
        page = report.finish(stop)
        for line in summary.lines(folder, journal, time.monotonic() - began, context.command, page, first, plan.masker):
            with contextlib.suppress(OSError):
                print(line)
        short = plan.samples_must and sampler is not None and not sampler.all_made
        return 130 if stop.level else 1 if loop.state.failed or short or _is_trained_elsewhere(plan, loop) else 0


def _is_trained_elsewhere(plan: Plan, loop: Loop) -> bool:
    """Whether another machine still trains a run of this command, so that not all is done."""
    return bool(loop.state.elsewhere) and any(run.key in loop.state.elsewhere for run in plan.selection.todo())


def _count(selection: Selection) -> int:
    """Runs that are to be done; the sweep's size where counting them would take long."""
    left = selection.left()
    return selection.sweep.size if left is None else left


def _sampler(plan: Plan, display: Plain) -> FollowingProcess | None:
    if plan.webui is None:
        return None
    return sampler_process(plan.folder, {**os.environ, **plan.webui}, display.say)


def _train(plan: Plan, loop: Loop, report: ReportWorker, after: int) -> None:
    """Take over what an earlier orchestrator left, start the first runs, and only then do what can wait for that.
    `after`: the newest attempt that --rerun runs again; 0 without it."""
    journal, context = loop.journal, plan.context
    executors.refuse_another(plan.folder, context.executor)
    left = left_behind(journal, plan.folder, loop.executor)
    command, rerun = list(context.command), after if plan.rerun else None
    note_sweep(plan.folder, journal, state="running", command=command, cwd=context.cwd, rerun_after=rerun,
               executor=context.executor)  # fmt: skip
    journal.note(waiting=None, queued=None)
    journal.set_sweep(runs_now(plan.selection.sweep, journal.records()))
    loop.take_over(left)
    loop.starter.start_what_may()
    for attempt in undelivered(journal.records()):
        loop.delivery.add(attempt)
    journal.add_waiting(map(record_of, islice(plan.selection.todo(), KNOWN_AHEAD)))
    options = next((run.options for run in plan.selection.todo()), {})
    report.begin(context, options, [gpu.name for gpu in plan.gpus])
    loop.run()


def _note_end(plan: Plan, loop: Loop, journal: Journal, display: Plain) -> None:
    """What is left to write when all is trained. A full disk makes no failure of it: the next start writes it again."""
    trained = "running" if _is_trained_elsewhere(plan, loop) else "done"
    state = "interrupted" if loop.stop.level else "failed" if loop.state.failed else trained
    try:
        note_sweep(plan.folder, journal, state=state, **({"rerun_after": None} if state == "done" else {}))
        journal.note(waiting=None)
        if loop.state.failed and plan.context.stop_on_failure:
            journal.abort_waiting()
        write_results(journal, plan.folder)
    except (OSError, JournalError) as error:
        display.say(f"the sweep's end could not be written to {plan.folder.path}: {error}")
