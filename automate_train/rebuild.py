"""A journal that is damaged is moved aside, and made again from the attempts' folders.

Covers: the check at the start of a sweep, and reading back what `launch.json` says of each attempt. How an attempt
ended is not decided here: it is entered as one without an outcome, and `recovery` takes it over like any other that an
orchestrator left behind. Not: runs that never began (the plan of today brings them).
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import UserError
from .folder import AttemptFolder, SweepFolder
from .journal import Journal, Planned


def opened(folder: SweepFolder, say: Callable[[str], None]) -> Journal:
    """The sweep's journal for writing; one that is damaged is replaced, and `say` tells so."""
    try:
        journal = Journal(folder.journal)
    except UserError as error:
        if not Journal.broken(folder.journal):
            raise  # merely unreadable, locked or newer than we are: moved aside, what is whole would be lost
        damage: str | None = error.problem.message
    else:
        damage = journal.damage()
        if damage is None:
            return journal
        journal.close()
    aside = _move_aside(folder.journal)
    journal = Journal(folder.journal)
    found = sorted(_attempts(folder.path), key=lambda each: (each.began, each.number))
    with journal.together():
        for each in found:
            journal.begin(each.run, each.devices, each.began, (each.folder, each.number))
    say(f"the journal was damaged ({damage}); it is now {aside.name}, and {len(found)} attempts were read back")
    return journal


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


def _attempts(sweep: Path) -> Iterator[_Found]:
    for path in sweep.glob("*/attempt-*/" + AttemptFolder.LAUNCH):
        number = path.parent.name.removeprefix("attempt-")
        try:
            asked = json.loads(path.read_text(encoding="utf-8"))
            run = _planned(asked["run"])
            yield _Found(run, path.parent.parent.name, int(number), tuple(asked["devices"]), float(asked["began"]))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue  # of another version, or cut off when the disk was full: its files stay where they are


def _planned(told: dict[str, Any]) -> Planned:
    return Planned(
        str(told["key"]), int(told["index"]), int(told["number"]), str(told["name"]), str(told["slug"]),
        dict(told["varied"]), dict(told["options"]),
    )  # fmt: skip
