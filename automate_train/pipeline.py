"""One sweep at work: the steps round the loop, from the lock to the summary.

Covers: lock, journal, adoption, loop, results, signals, the summary's lines, in this order.
Not: the loop itself (`scheduler`), what is shown while it runs (`live`), what is worked on (`cli` hands it over).
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import islice
from math import inf
from typing import TYPE_CHECKING

from .config.keys import unset
from .display.live import Plain, choose
from .executors.local import Local
from .machine import lock
from .records import Device, Run, SweepContext
from .report.worker import ReportWorker
from .sampling.process import SamplerProcess
from .store.layout import SweepFolder
from .store.rebuild import opened
from .trainers import load
from .training.adoption import left_behind
from .training.loop import Loop
from .training.placement import Policy
from .training.prepare import Job, planned

if TYPE_CHECKING:
    from .machine.gpus import Gpu
ASKING = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
KNOWN_AHEAD = 10_000
"""Waiting runs that `status` can list before they begin."""


@dataclass(frozen=True)
class Order:
    """Everything that was decided before anything starts."""

    todo: Callable[[], Iterator[Run]]
    total: int
    context: SweepContext
    folder: SweepFolder
    gpus: list[Gpu]
    pool: tuple[str, ...]
    """Devices that the runs share; empty: each run is bound to its own `cuda_device`, one run at a time."""
    memory_limit: int
    """Bytes."""
    stop_on_failure: bool
    plain: bool
    argv: tuple[str, ...]
    files: Mapping[str, str | None] = field(default_factory=dict)
    """The config files as given, for the report."""
    webui: Mapping[str, str] | None = None
    """Some runs are sampled on a WebUI; the environment variables that only the sampler gets (passwords)."""


def work(order: Order) -> int:
    """Run what is to be done; the exit code: 0, 1 when a run failed, 130 when a person stopped it."""
    began = time.monotonic()
    folder = order.folder
    with ExitStack() as stack:
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # from here on others see who holds the lock, and may ask
        stack.enter_context(lock.held(folder.lock))
        executor = Local()
        display = choose(order.plain, order.context.slots, watch=True)
        stack.callback(display.close)
        journal = opened(folder, display.say)
        stack.callback(journal.close)
        actives = left_behind(journal, folder, executor, time.monotonic, time.time)
        journal.note(state="running", command=list(order.argv), cwd=os.getcwd(), waiting=None)
        journal.forget_waiting()
        taken = {each.run_key for each in actives if each.handle}
        loop = Loop(_job(order, taken), journal, executor, display,
                    lambda: devices(order.pool), time.monotonic, time.time)  # fmt: skip
        loop.chores.append(lambda: journal.plan(map(planned, islice(order.todo(), KNOWN_AHEAD))))
        loop.chores.append(_import_what_comes_last)
        loop.take_over(actives)
        taken |= {each.run_key for each in actives if each.outcome and each.outcome.kind == "succeeded"}
        reports = ReportWorker(folder)
        loop.chores.append(lambda: _write_provenance(order, reports))
        sampler = None
        if order.webui is not None:
            sampler = SamplerProcess(folder, {**os.environ, **order.webui}, display.say)
        with _signals(loop, display) as wakeup:

            def each_turn(news: bool) -> None:
                if sampler:
                    sampler.update(news)
                reports.update(news)
                _drain(wakeup)

            loop.beside = each_turn
            loop.wake_on = lambda: [wakeup, *(sampler.outputs if sampler else ())]
            loop.run()
            if sampler:
                display.close()
                _wait_for_samples(sampler, loop, executor, display, wakeup)
        journal.note(state="interrupted" if loop.asked else "failed" if loop.failed else "done", waiting=None)
        if loop.failed and order.stop_on_failure:
            journal.abort_waiting("aborted")
        display.close()
        from .display import status, summary

        status.write_results(journal, folder)
        page = reports.finish()
        for line in summary.lines(folder, journal, time.monotonic() - began, order.argv, page):
            with contextlib.suppress(OSError):
                print(line)
    return 130 if loop.asked else 1 if loop.failed else 0


def _import_what_comes_last() -> None:
    """After the first runs have started, not when they have ended: a sweep lasts days, and an update of this package in
    the meantime must not give its last lines to another version."""


def _write_provenance(order: Order, reports: ReportWorker) -> None:
    files = {label: path for label, path in order.files.items() if path}
    context = replace(order.context, command=order.argv, cwd=os.getcwd(), config_files=files)
    options = next((run.options for run in order.todo()), {})
    reports.begin(context, options, [gpu.name for gpu in order.gpus])


def _wait_for_samples(sampler: SamplerProcess, loop: Loop, executor: Local, display: Plain, wakeup: int) -> None:
    """The runs are over; Ctrl-C leaves the samples that are missing to `automate-train sample`."""
    asked = loop.asked
    say_at = time.monotonic() + 1.5
    sampler.finish()
    while sampler.running():
        executor.wait(2.0, [wakeup, *sampler.outputs])
        _drain(wakeup)
        if not asked == loop.asked < 2:
            sampler.stop()
        if time.monotonic() > say_at:
            say_at = inf
            display.say("samples: the runs are over, the last samples are being made (Ctrl-C leaves them for later)")


def _job(order: Order, taken: set[str]) -> Job:
    """`taken`: keys of runs that an earlier orchestrator started and that run, or have succeeded, since."""
    everything = order.pool or tuple(gpu.id for gpu in order.gpus)
    return Job(
        runs=(run for run in order.todo() if run.key not in taken),
        folder=order.folder,
        policy=Policy(order.context.slots, everything, order.memory_limit),
        trainer=lambda run: load(run.options["trainer"].value),
        context=order.context,
        devices_of=_bound(order.gpus) if order.gpus and not order.pool else lambda run: (),
        stop_on_failure=order.stop_on_failure,
        total=order.total,
    )


def _bound(gpus: list[Gpu]) -> Callable[[Run], tuple[str, ...]]:
    from .machine.gpus import parse_devices

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")

    @cache
    def ids(text: str) -> tuple[str, ...]:
        return tuple(parse_devices(text, gpus, visible))

    def bound(run: Run) -> tuple[str, ...]:
        option = run.options.get("cuda_device")
        return ids("0" if option is None or unset(option.value) else str(option.value))

    return bound


def devices(pool: tuple[str, ...]) -> list[Device]:
    """The machine's GPUs as placement sees them, in the order in which they were listed."""
    from .machine.gpus import snapshot, users_text

    found = [Device(gpu.id, f"GPU {gpu.index}", gpu.free, gpu.lost, users_text(gpu)) for gpu in snapshot()]
    return sorted(found, key=lambda device: pool.index(device.id) if device.id in pool else len(pool))


@contextmanager
def _signals(loop: Loop, display: Plain) -> Iterator[int]:
    """Ctrl-C in two steps, SIGUSR1 as the first (`automate-train stop`), SIGTERM as the second, a closed terminal
    ignored; the loop wakes up at once."""
    read_end, write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def interrupt(number: int, frame: object) -> None:
        loop.ask({signal.SIGTERM: 2, signal.SIGUSR1: 1}.get(signal.Signals(number), loop.asked + 1))
        if loop.asked == 1:
            display.say("stopping: the running ones finish, nothing more starts; Ctrl-C again ends them now")
        else:
            display.say("ending the running ones (10 s, then they are killed)")

    wakeup = signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    before = {number: signal.signal(number, interrupt) for number in ASKING}
    before[signal.SIGHUP] = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        yield read_end
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(wakeup)
        os.close(read_end)
        os.close(write_end)


def _drain(wakeup: int) -> None:
    with contextlib.suppress(BlockingIOError):
        os.read(wakeup, 4096)
