"""What a second terminal can do with a sweep: stop it, read a run's console, try failed runs again.

Covers: `stop`, `logs`, `retry`, and starting a sweep that outlives its terminal (`--background`).
Not: how it stands (`status`), what stopping means (`scheduler`), printing errors (`cli`).
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ..display.status import open_sweep
from ..errors import UserError
from ..executors.local import Local, text_of
from ..machine import lock
from ..machine.background import start as start_in_background
from ..machine.child_process import own_command
from ..store.journal import Journal, Row
from ..store.layout import AttemptFolder, SweepFolder

LOOK = 0.25
"""Seconds between two looks at a console that grows: nothing tells of it on every file system."""


def stop(path: str, now: bool) -> Iterator[str]:
    """Ask the sweep's process to start nothing more, or (`now`) to end what runs; also runs that were left alone."""
    journal, folder = open_sweep(path)
    holder = lock.ask_to_stop(folder.lock, now)
    if holder:
        running = sum(row.state == "running" for row in journal.rows())
        if now:
            yield f"{holder} ends its {running} running ones (10 s, then they are killed)"
        else:
            yield f"{holder} starts nothing more; {running} running ones finish   (end them: stop {path} --now)"
        return
    local = Local()
    left = [(attempt, local.find(_attempt(folder, attempt.folder), text_of(attempt.handle)))
            for _, attempt in journal.open_attempts()]  # fmt: skip
    alive = [(attempt, handle) for attempt, handle in left if handle]
    if not alive:
        yield "nothing runs here"
    elif not now:
        yield f"no automate-train is at work here; {len(alive)} runs that it left go on   (end them: stop {path} --now)"
    for attempt, handle in alive if now else []:
        local.stop(handle, now=False)
        yield f"{attempt.folder}: ended ({local.describe(handle)})"


def logs(path: str, index: int, follow: bool) -> Iterator[bytes]:
    """The console of a run's newest attempt, as it was written; `follow`: until the run has ended."""
    journal, folder = open_sweep(path)
    row = _row(journal, index)
    attempt = _attempt(folder, row.folder)
    alive = _liveness(journal, folder, row)
    try:
        with attempt.console.open("rb") as file:
            while True:
                # Whether it has ended is asked before the last look, so that nothing it said last is missed.
                ended = not follow or attempt.read_exit_code() is not None or not alive()
                while data := file.read(1 << 16):
                    yield data
                if ended:
                    return
                time.sleep(LOOK)
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", source=str(attempt.console)) from error


def _liveness(journal: Journal, folder: SweepFolder, row: Row) -> Callable[[], bool]:
    """Whether the row's attempt still runs: it may end without an exit code."""
    handles = [a.handle for _, a in journal.open_attempts() if a.folder == row.folder]
    if not handles:
        return lambda: False
    local, attempt = Local(), _attempt(folder, row.folder)
    return lambda: bool(local.find(attempt, text_of(handles[0])))


def retry(path: str, indexes: Sequence[int]) -> tuple[list[str], str]:
    """(arguments, folder to be in) of the command that tries failed and lost runs again."""
    journal, _ = open_sweep(path)
    notes = journal.notes()
    rows = {row.index: row for row in journal.rows()}
    for index in indexes:
        if index not in rows or not rows[index].attempt:
            raise UserError(f"run {index} has not begun", source=path, hint=f"automate-train status {path}")
        if rows[index].state == "succeeded":
            hint = "the sweep's own command with --rerun --only runs it again"
            raise UserError(f"run {index} has succeeded", source=path, hint=hint)
    chosen = indexes or sorted(row.index for row in rows.values() if row.state in ("failed", "lost", "cancelled"))
    argv, cwd = notes.get("command"), notes.get("cwd")
    if not isinstance(argv, list) or not isinstance(cwd, str):
        raise UserError("the journal does not say how the sweep was started", source=path)
    if not chosen:
        return [], cwd
    if any("=***" in word for word in argv):
        hint = "give them in a config file, and type the sweep's command with --only"
        raise UserError("its command had a secret in --set, which is kept nowhere", source=path, hint=hint)
    return [*_without(argv, "--only", "--skip-to-index"), "--only", ",".join(map(str, chosen))], cwd


def _without(argv: Sequence[str], *flags: str) -> list[str]:
    kept, skip = [], False
    for word in argv:
        name = word.partition("=")[0].replace("_", "-")
        if skip:
            skip = False
        elif name in flags:
            skip = "=" not in word
        elif word != "--background":
            kept.append(word)
    return kept


def background(argv: Sequence[str], folder: SweepFolder) -> Iterator[str]:
    """Start the same command in a session of its own and say how to follow it. `UserError` when it does not start."""
    log = folder.path / "sweep.log"
    child = start_in_background(own_command(*_without(argv)), log, folder.lock)
    here = shlex.quote(str(folder.path))
    yield f"{child} goes on without this terminal; what it says: {log}"
    yield f"  automate-train status {here} --watch"
    yield f"  automate-train stop {here}"


def _attempt(folder: SweepFolder, name: str) -> AttemptFolder:
    return AttemptFolder(Path(folder.path) / name)


def _row(journal: Journal, index: int) -> Row:
    rows = {row.index: row for row in journal.rows()}
    row = rows.get(index)
    if row is None or not row.attempt:
        known = ", ".join(str(each.index) for each in list(rows.values())[:20] if each.attempt) or "none"
        raise UserError(f"run {index} has not begun here (begun: {known})", source=str(journal.path.parent))
    return row
