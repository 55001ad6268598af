"""One sweep at work: the steps round the loop, from the lock to the summary.

Covers: lock, journal, adoption, loop, results, signals, the summary's lines, in this order.
Not: the loop itself (`scheduler`), what is shown while it runs (`live`), what is worked on (`cli` hands it over).
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import islice
from math import inf, isnan
from typing import TYPE_CHECKING

from . import lock
from .executors.local import Local
from .folder import AttemptFolder, SweepFolder
from .job import Job, planned
from .journal import Journal, Row
from .keys import unset
from .launch import Site
from .live import Plain, choose, duration
from .placement import Device, Policy
from .rebuild import opened
from .recovery import left_behind
from .scheduler import Loop
from .sweep import Run
from .trainers import load

if TYPE_CHECKING:
    from .beside import Beside
    from .gpus import Gpu

ASKING = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
KNOWN_AHEAD = 10_000
"""Waiting runs that `status` can list before they begin."""


@dataclass(frozen=True)
class Order:
    """Everything that was decided before anything starts."""

    todo: Callable[[], Iterator[Run]]
    total: int
    site: Site
    folder: SweepFolder
    gpus: list[Gpu]
    pool: tuple[str, ...]
    """Devices that the runs share; empty: each run is bound to its own `cuda_device`, one run at a time."""
    memory_limit: int
    """Bytes."""
    stop_on_failure: bool
    plain: bool
    argv: tuple[str, ...]
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
        display = choose(order.plain, order.site.slots, watch=True)
        stack.callback(display.close)
        journal = opened(folder, display.say)
        stack.callback(journal.close)
        actives = left_behind(journal, folder, executor, time.monotonic, time.time)
        journal.note(state="running", command=list(order.argv), cwd=os.getcwd(), waiting=None)
        journal.forget_waiting()
        taken = {each.run_key for each in actives if each.handle[0]}
        loop = Loop(_job(order, taken), journal, executor, display,
                    lambda: devices(order.pool), time.monotonic, time.time)  # fmt: skip
        loop.chores.append(lambda: journal.plan(map(planned, islice(order.todo(), KNOWN_AHEAD))))
        loop.take_over(actives)
        taken |= {each.run_key for each in actives if each.outcome and each.outcome.kind == "succeeded"}
        with _signals(loop, executor, display):
            beside = _sampler(order, loop, executor, display)
            loop.run()
            if beside:
                display.close()
                _wait_for_samples(beside, loop, executor, display)
        journal.note(state="interrupted" if loop.asked else "failed" if loop.failed else "done", waiting=None)
        if loop.failed and order.stop_on_failure:
            journal.abort_waiting("aborted")
        display.close()
        from .status import write_results  # csv: not before the last run has ended

        write_results(journal, folder)
        for line in summary(order, journal, time.monotonic() - began, loop.asked > 0):
            with contextlib.suppress(OSError):
                print(line)
    return 130 if loop.asked else 1 if loop.failed else 0


def _sampler(order: Order, loop: Loop, executor: Local, display: Plain) -> list[Beside]:
    """The sampler's process, started after the first runs; empty until then, and when nothing is sampled on a WebUI."""
    started: list[Beside] = []
    if order.webui is None:
        return started
    environment = {**os.environ, **order.webui}

    def start() -> None:
        from .beside import Beside

        started.append(Beside(order.folder, environment, executor, display.say))

    def beside(news: bool) -> None:
        for each in started:
            if news:
                each.tell()
            each.listen()

    loop.chores.append(start)
    loop.beside = beside
    return started


def _wait_for_samples(started: list[Beside], loop: Loop, executor: Local, display: Plain) -> None:
    """The runs are over; Ctrl-C leaves the samples that are missing to `automate-train sample`."""
    asked = loop.asked
    told = time.monotonic()

    def wait() -> bool:
        nonlocal told
        executor.wait(2.0)
        if time.monotonic() - told > 1.5:
            told = inf
            display.say("samples: the runs are over, the last samples are being made (Ctrl-C leaves them for later)")
        return loop.asked == asked < 2

    for each in started:
        each.tell()
        if not each.finish(wait):
            display.say(f"samples: stopped; later: automate-train sample {shlex.quote(str(each.folder.path))}")


def _job(order: Order, taken: set[str]) -> Job:
    """`taken`: keys of runs that an earlier orchestrator started and that run, or have succeeded, since."""
    everything = order.pool or tuple(gpu.id for gpu in order.gpus)
    return Job(
        runs=(run for run in order.todo() if run.key not in taken),
        folder=order.folder,
        policy=Policy(order.site.slots, everything, order.memory_limit),
        trainer=lambda run: load(run.options["trainer"].value),
        site=order.site,
        devices_of=_bound(order.gpus) if order.gpus and not order.pool else lambda run: (),
        stop_on_failure=order.stop_on_failure,
        total=order.total,
    )


def _bound(gpus: list[Gpu]) -> Callable[[Run], tuple[str, ...]]:
    from .gpus import parse_devices

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
    from .gpus import snapshot, users_text

    found = [Device(gpu.id, f"GPU {gpu.index}", gpu.free, gpu.lost, users_text(gpu)) for gpu in snapshot()]
    return sorted(found, key=lambda device: pool.index(device.id) if device.id in pool else len(pool))


@contextmanager
def _signals(loop: Loop, executor: Local, display: Plain) -> Iterator[None]:
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
    executor.watch(read_end, drain=True)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(wakeup)
        executor.unwatch(read_end)
        os.close(read_end)
        os.close(write_end)


def summary(order: Order, journal: Journal, seconds: float, interrupted: bool) -> Iterator[str]:
    """What happened; each failed run with its reason, its last lines and its log; where things are; what to type
    next."""
    from .status import samples_lines

    rows = list(journal.rows())
    counts: dict[str, int] = {}
    for row in rows:
        counts[row.state] = counts.get(row.state, 0) + 1
    yield f"\n{', '.join(f'{count} {state}' for state, count in counts.items())} ({duration(seconds)})"
    for row in rows:
        if row.state in ("failed", "lost"):
            yield from _failure(order, row)
    finished = [row for row in rows if row.state == "succeeded"]
    yield from _best(finished)
    yield from samples_lines(journal.notes().get("samples") or {})
    if targets := {os.path.dirname(path) for row in finished for path in row.facts.get("delivered", [])}:
        yield f"LoRAs    {', '.join(sorted(targets))}"
    if order.folder.logs.is_dir():
        yield f"logs     {order.folder.logs}   (tensorboard --logdir {shlex.quote(str(order.folder.logs))})"
    yield f"table    {order.folder.results}"
    yield f"folders  {order.folder.path}"
    if len(finished) < len(rows):
        yield f"next     the same command goes on where this ended:\n  {shlex.join(['automate-train', *order.argv])}"
    else:
        yield f"next     automate-train status {shlex.quote(str(order.folder.path))}"


def _failure(order: Order, row: Row) -> Iterator[str]:
    yield f"\nrun {row.number} {row.name} {row.state}: {row.reason}"
    attempt = order.folder.path / row.folder
    for line in AttemptFolder(attempt).tail(15):
        yield f"  | {line}"
    yield f"  log: {attempt / 'console.log'}"


def _best(rows: list[Row]) -> Iterator[str]:
    """The lowest mean loss, where there is something to compare."""
    losses = [(loss, row) for row in rows if isinstance(loss := row.facts.get("mean_loss"), float) and not isnan(loss)]
    if len(losses) > 1:
        loss, row = min(losses, key=lambda pair: pair[0])
        yield f"lowest mean loss: {loss:.4g}, run {row.number} {row.name}"
