"""The journal made again from the folders: a damaged one is moved aside, what it does not know is read back.

Covers: the check at the start of a sweep; attempts with how they ended, their checkpoints, the sweep's own facts, the
sampler's seeds. An attempt whose folder does not hold how it ended (it was killed, or is of the first edition) is
entered as open: `training.adoption` finds out.
Not: runs that never began (the plan of today brings them), what is on image servers (the sampler finds it by name).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from ..errors import UserError
from ..records import Attempt, RunRecord
from .events import checkpoint_of, read_events
from .journal import Journal
from .launch import LaunchFile, read_launch
from .layout import ATTEMPT, AttemptFolder, SweepFolder
from .outcome import read_outcome
from .sample_journal import restore_samples
from .sweep_file import read_sweep


def open_journal(folder: SweepFolder, say: Callable[[str], None]) -> Journal:
    """The sweep's journal for writing, complete. `say` is called when it had to be replaced or completed."""
    existed = folder.journal.exists()
    journal, damage = _undamaged(folder)
    missing = _missing(folder, journal.attempt_folders())
    found = sorted(missing, key=lambda each: (each.launch.began, each.folder.number))
    with journal.transaction():
        for each in found:
            _restore(journal, each)
        if found and (damage or not existed):
            journal.note(**read_sweep(folder))
            restore_samples(folder, journal)
    back = f"{len(found)} attempts were read back from their folders"
    for attempt in journal.open_attempts():  # an orchestrator may be killed before it writes the journal's rows
        _restore_end(journal, attempt, folder.attempt(attempt.folder))
    if damage:
        say(f"the journal was damaged ({damage}); {back}")
    elif found:
        say(f"{back}: the journal {'did not know them' if existed else 'was gone'}")
    return journal


def _undamaged(folder: SweepFolder) -> tuple[Journal, str]:
    """(the journal or, in place of a damaged one, an empty one, what the damage is and where it went)."""
    try:
        journal = Journal(folder.journal)
    except UserError as error:
        if not Journal.is_damaged(folder.journal):
            raise  # unreadable, locked or of a newer version: an intact journal must not be moved aside
        damage: str | None = error.problem.message
    else:
        damage = journal.damage()
        if damage is None:
            return journal, ""
        journal.close()
    aside = _move_aside(folder.journal)
    return Journal(folder.journal), f"{damage}; it is now {aside.name}"


def _move_aside(journal: Path) -> Path:
    aside = journal.with_name(f"{journal.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}")
    for end in ("", "-wal", "-shm"):
        if os.path.lexists(f"{journal}{end}"):
            os.replace(f"{journal}{end}", f"{aside}{end}")
    return aside


class _Missing(NamedTuple):
    folder: AttemptFolder
    inside: str
    """`<run's folder>/attempt-<n>`"""
    run: RunRecord
    launch: LaunchFile


def _missing(sweep: SweepFolder, known: set[str]) -> Iterator[_Missing]:
    """Attempts with a folder that the journal does not know. A folder whose launch.json was cut off, when the disk was
    full, stays where it is."""
    for run in os.scandir(sweep.path):
        if not run.is_dir(follow_symlinks=False):
            continue
        for name in os.listdir(run.path):
            inside = f"{run.name}/{name}"
            if ATTEMPT.fullmatch(inside) and inside not in known:
                launch = read_launch(folder := sweep.attempt(inside))
                if launch.run is not None:
                    yield _Missing(folder, inside, launch.run, launch)


def _restore(journal: Journal, missing: _Missing) -> None:
    attempt = journal.restore(missing.run, missing.launch.devices, missing.launch.began, missing.inside)
    _restore_end(journal, attempt, missing.folder)


def _restore_end(journal: Journal, attempt: Attempt, folder: AttemptFolder) -> None:
    """How an attempt ended, and its checkpoints: the loop commits the last of them with the end. Those of an attempt
    that has no outcome are read when it is taken over."""
    if (ended := read_outcome(folder)) is not None:
        for event in read_events(folder)[0]:
            if (saved := checkpoint_of(event, attempt.number)) is not None:
                journal.add_checkpoint(attempt.id, saved)
        journal.set_outcome(attempt.id, ended.outcome, ended.ended, ended.metrics)
