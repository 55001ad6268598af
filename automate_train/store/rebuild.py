"""A journal that is damaged is moved aside; what a journal does not know is read back from the attempts' folders.

Covers: the check at the start of a sweep, and reading back what `launch.json` says of each attempt that is missing (a
damaged or lost journal; one whose last writes were cut off). How an attempt ended is not decided here: it is entered as
one without an outcome, and `recovery` takes it over like any other that an orchestrator left behind.
Not: runs that never began (the plan of today brings them).
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UserError
from .journal import Journal, Planned
from .journal_check import ATTEMPT
from .layout import AttemptFolder, SweepFolder


def opened(folder: SweepFolder, say: Callable[[str], None]) -> Journal:
    """The sweep's journal for writing, complete; `say` tells when it had to be replaced or completed."""
    there = folder.journal.exists()
    journal, damage = _sound(folder)
    found = sorted(_attempts(folder.path, journal.attempt_folders()), key=lambda each: (each.began, each.number))
    with journal.together():
        for each in found:
            journal.recall(each.run, each.devices, each.began, each.folder, each.number)
    back = f"{len(found)} attempts were read back from their folders"
    if damage:
        say(f"the journal was damaged ({damage}); {back}")
    elif found:
        say(f"{back}: the journal {'did not know them' if there else 'was gone'}")
    return journal


def _sound(folder: SweepFolder) -> tuple[Journal, str]:
    """(the journal or, in place of a damaged one, an empty one, what the damage is and where it went)."""
    try:
        journal = Journal(folder.journal)
    except UserError as error:
        if not Journal.broken(folder.journal):
            raise  # merely unreadable, locked or newer than we are: moved aside, what is whole would be lost
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


@dataclass(frozen=True)
class _Found:
    run: Planned
    folder: str
    number: int
    devices: tuple[str, ...]
    began: float


def _attempts(sweep: Path, known: set[str]) -> Iterator[_Found]:
    """Attempts of whose folders none is in `known` (`<run>/attempt-<n>`)."""
    for run in os.scandir(sweep):
        if not run.is_dir(follow_symlinks=False):
            continue
        for name in os.listdir(run.path):
            if not ATTEMPT.fullmatch(f"{run.name}/{name}") or f"{run.name}/{name}" in known:
                continue
            number = name.removeprefix("attempt-")
            try:
                asked = json.loads(Path(run.path, name, AttemptFolder.LAUNCH).read_text(encoding="utf-8"))
                devices = tuple(map(str, asked["devices"]))
                yield _Found(_planned(asked["run"]), run.name, int(number), devices, float(asked["began"]))
            except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
                continue  # of another version, or cut off when the disk was full: its files stay where they are


def _planned(told: dict[str, Any]) -> Planned:
    return Planned(
        str(told["key"]), int(told["index"]), int(told["number"]), str(told["name"]), str(told["slug"]),
        {str(key): str(value) for key, value in told["varied"].items()}, dict(told["options"]),
    )  # fmt: skip
