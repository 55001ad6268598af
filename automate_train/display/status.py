"""How a sweep stands, from any terminal: a table, or JSON.

Covers: rendering the journal's runs and their histories. Not: changing anything; the journal is opened for reading
only.
"""

from __future__ import annotations

import math
import os
import shlex
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..errors import UserError
from ..executors import of_sweep
from ..machine import lock
from ..store.files import is_count, is_number, read_json
from ..store.history import Histories, RunHistory
from ..store.journal import Journal
from ..store.layout import SweepFolder
from ..sweep.settings import Spread, by_setting, spread
from ..trainers import events_of
from ..trainers.loss_meaning import loss_note
from ..training.adoption import handles_of
from .plain import duration
from .shell_command import shell_command


def as_json(journal: Journal, folder: SweepFolder, histories: Histories | None = None) -> dict[str, Any]:
    """One object: what `status --json` prints. `histories`: those of the last time, which go on where they ended."""
    notes, driver = journal.notes(), lock.holder(folder.lock)
    waiting, queued, samples = (
        found if isinstance(found := notes.get(name), dict) else {} for name in ("waiting", "queued", "samples")
    )
    histories = histories_of(journal, folder) if histories is None else histories
    records = list(journal.records())
    living = _living(folder, journal) if driver is None else None
    now = [record for record in records if record.in_sweep]
    known = {record.key: histories.brief(record) for record in records}
    return {
        "project": folder.path.name,
        "folder": str(folder.path),
        "state": notes.get("state", ""),
        "driver": None if driver is None else {"pid": driver.pid, "host": driver.host, "since": driver.since},
        "samples": samples,
        "loss_note": loss_note(record.varied for record in now),
        "settings": [_setting(name, [known[run.key] for run in runs]) for name, runs in by_setting(now).items()],
        "runs": [_run(history, folder, waiting, queued, living) for history in known.values()],
    }


def _setting(name: str, replicates: Sequence[RunHistory]) -> dict[str, Any]:
    losses = spread(each.progress.epoch_loss for each in replicates)
    return {
        "setting": name,
        "seeds": [each.record.seed for each in replicates],
        "epoch_loss": losses._asdict() if losses else None,
    }


def histories_of(journal: Journal, folder: SweepFolder) -> Histories:
    return Histories(folder, journal, events_of)


def _living(folder: SweepFolder, journal: Journal) -> dict[str, str] | None:
    """What of the sweep lives, or waits in a queue: real path of the attempt's folder -> its executor's words for it.
    None: the executor cannot tell now."""
    executor = of_sweep(folder)
    try:
        living = executor.living(folder.path, handles_of(journal.open_attempts(), folder))
    except UserError:
        return None
    queue = executor.waiting() or {}
    return {
        path: ", ".join(filter(None, (executor.describe(handle), queue.get(handle)))) for path, handle in living.items()
    }


def _run(
    history: RunHistory,
    folder: SweepFolder,
    waiting: Mapping[str, Any],
    queued: Mapping[str, Any],
    living: Mapping[str, str] | None,
) -> dict[str, Any]:
    """`waiting`, `queued`: why, of runs without an attempt, and of those with one that waits in a queue. `living`: what
    of the sweep lives, by its attempts' folders; None where a process runs the sweep and tells."""
    record, progress = history.record, history.progress
    newest, ended = record.newest, record.newest is not None and record.newest.outcome is not None
    state, reason = record.state, progress.sample_wait if record.state == "running" else record.reason
    if state == "running" and living is not None:
        if handle := living.get(os.path.realpath(folder.path / record.folder)):
            reason = f"its trainer goes on without the sweep ({handle})"
        else:
            state, reason = "ended", "how it ended is read when the sweep goes on"
    elif record.key in (queued if state == "running" else waiting):
        state, reason = "waiting", str({**waiting, **queued}[record.key])
    return {
        "index": record.index if record.in_sweep else None,
        "number": record.number if record.in_sweep else None,
        "id": record.id,
        "in_sweep": record.in_sweep,
        "key": record.key,
        "name": record.name,
        "state": state,
        "reason": reason,
        "varied": dict(record.varied),
        "setting": record.setting_name,
        "seed": record.seed,
        "attempt": newest.number if newest else 0,
        "resumed_from": progress.start,
        "devices": list(newest.devices) if newest else [],
        "step": progress.step if newest else None,
        "total_steps": None if ended else progress.total,
        "loss": finite(progress.loss),
        "epoch_loss": finite(progress.epoch_loss),
        "epoch_nan_steps": progress.epoch_nan_steps,
        "seconds": history.seconds,
        "exit_code": newest.outcome.exit_code if newest and newest.outcome else None,
        "folder": str(folder.path / newest.folder) if newest else "",
        "checkpoints": [each.path for each in history.checkpoints],
    }


def lines(journal: Journal, folder: SweepFolder, histories: Histories | None = None) -> Iterator[str]:
    """The table as plain text, then one line of sums, who runs the sweep and, for each run that failed, why."""
    status = as_json(journal, folder, histories)
    runs = [run for run in status["runs"] if run["in_sweep"]]
    gone = [run for run in status["runs"] if not run["in_sweep"]]
    yield from _table(runs, status["runs"])
    yield from settings_lines(status["settings"])
    if status["loss_note"]:
        yield str(status["loss_note"])
    counts = Counter(run["state"] for run in runs)
    yield ", ".join(f"{count} {state}" for state, count in counts.items()) or "no run has begun"
    yield from _driver_lines(status, journal.notes(), {*counts} <= {"succeeded"})
    yield from samples_lines(status["samples"])
    yield from judged_lines(folder)
    for run in runs:
        if run["state"] in ("waiting", "running", "ended") and run["reason"]:
            yield f"run {run['index']} {run['state']}: {run['reason']}"
        if run["state"] in ("failed", "lost"):
            yield f"run {run['index']}: {run['reason']}\n      log: {folder.attempt(run['folder']).console}"
    if gone:
        yield "\nno longer part of the sweep, whose configs have changed since:"
        yield from _table(gone, status["runs"])


def _driver_lines(status: Mapping[str, Any], notes: Mapping[str, Any], all_done: bool) -> Iterator[str]:
    """Who runs the sweep; where nobody does and something is left, what to type."""
    if driver := status["driver"]:
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(driver["since"]))
        yield f"run by pid {driver['pid']} on {driver['host'] or 'an unknown host'} since {since}"
    elif not all_done:
        command, cwd = notes.get("command"), notes.get("cwd")
        if isinstance(command, list) and isinstance(cwd, str):
            there = "" if os.path.realpath(cwd) == os.getcwd() else f"cd {shlex.quote(cwd)} && "
            yield f"nobody runs it now; it goes on with:\n  {there}{shell_command(*map(str, command))}"


def _table(shown: Sequence[Mapping[str, Any]], runs: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """`runs`: all that the columns must have room for."""
    width, id_width = (max((len(run[name]) for run in runs), default=4) for name in ("name", "id"))
    id_width = max(id_width, 2)
    title = f"{'run':>5}  {'id':<{id_width}}  {'name':<{width}}  {'state':<10}"
    yield f"{title}  {'step':>11}  {'loss':>9}  {'seconds':>8}"
    for run in shown:
        step = "" if run["step"] is None else str(run["step"])
        step += f"/{run['total_steps']}" if run["total_steps"] else ""
        loss = "" if run["loss"] is None else run["loss"] if isinstance(run["loss"], str) else f"{run['loss']:.4g}"
        seconds = "" if run["seconds"] is None else f"{run['seconds']:.1f}"
        index = "" if run["index"] is None else run["index"]
        row = f"{index:>5}  {run['id']:<{id_width}}  {run['name']:<{width}}  {run['state']:<10}"
        yield f"{row}  {step:>11}  {loss:>9}  {seconds:>8}".rstrip()


def settings_lines(settings: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """One line a setting, where one has replicates: its seeds, and its epoch_loss as mean and range."""
    if all(len(each["seeds"]) < 2 for each in settings):
        return
    rows = [("setting", "seeds", "epoch_loss, mean (lowest to highest)")]
    for each in settings:
        losses = str(Spread(**each["epoch_loss"])) if each["epoch_loss"] else ""
        rows.append((each["setting"] or "the one setting", ", ".join(each["seeds"]), losses))
    name, seeds = (max(len(row[at]) for row in rows) for at in (0, 1))
    yield from (f"{row[0]:<{name}}  {row[1]:<{seeds}}  {row[2]}".rstrip() for row in rows)


def samples_lines(samples: Mapping[str, Any], left_are: str = "to come") -> Iterator[str]:
    """What the sampler last noted: pictures by state, how many are left, servers in trouble."""
    counts = {key: count for key, count in samples.items() if isinstance(count, int) and count}
    left = counts.pop("left", 0)
    if counts or left:
        parts = [f"{count} {state.replace('_', ' ')}" for state, count in counts.items()]
        yield f"samples: {', '.join([*parts, f'{left} {left_are}'] if left else parts)}"
    servers = samples.get("servers")
    for url, trouble in (servers if isinstance(servers, dict) else {}).items():
        yield f"samples: {url}: {trouble}"


def judged_lines(folder: SweepFolder) -> Iterator[str]:
    """What the judge last noted."""
    counts = read_json(folder.judge_counts) or {}
    judged, checkpoints, left = (counts.get(name) for name in ("judged", "checkpoints", "seconds_left"))
    if is_count(judged) and is_count(checkpoints) and checkpoints:
        runs = lock.is_held(folder.judge_lock)
        about = f", about {duration(left)} left" if runs and is_number(left) and left else ""
        later = "" if runs or judged >= checkpoints else f" ({shell_command('judge', str(folder.path))} goes on)"
        yield f"judged {judged} of {checkpoints} checkpoints{about}{later}"


def finite(value: float | None) -> float | str | None:
    """JSON has neither NaN nor infinity: they become text."""
    return str(value) if value is not None and not math.isfinite(value) else value
