"""sweep.json: what the sweep as a whole must not lose with its journal.

Covers: the id that its names on image servers begin with, the command and folder that `retry` needs, how the sweep
ended, what an unfinished --rerun still has to run, the executor; each is a note of the journal, too. Not: what belongs
to one run (its attempts' folders), provenance.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

from .files import is_count, read_json, write
from .journal import Journal
from .launch import read_launch
from .layout import AttemptFolder, SweepFolder

NAMES = ("sweep_id", "command", "cwd", "state", "rerun_after", "executor")


def note_sweep(folder: SweepFolder, journal: Journal, **values: Any) -> None:
    """Write values of `NAMES` into sweep.json and the journal."""
    kept = {name: value for name, value in journal.notes().items() if name in NAMES}  # of the first edition, too
    known = {"sweep_id": os.urandom(4).hex(), **kept, **read_sweep(folder), **values}
    write(folder.about, json.dumps(known, ensure_ascii=False, indent=1) + "\n")
    journal.note(**known)


def read_sweep(folder: SweepFolder) -> dict[str, Any]:
    found = read_json(folder.about) or {}
    return {name: found[name] for name in NAMES if name in found}


def sweep_id(folder: SweepFolder, journal: Journal) -> str:
    """8 hex digits, drawn once. The folder's path would not do: two machines may have sweeps under the same path."""
    if "sweep_id" not in read_sweep(folder):
        note_sweep(folder, journal)
    return str(read_sweep(folder)["sweep_id"])


def rerun_after(journal: Journal, command: Sequence[str]) -> int:
    """The newest attempt that is run again by --rerun. The command that was interrupted, typed again, goes on: what it
    has run already is not run once more."""
    notes = journal.notes()
    known = notes.get("rerun_after")
    return known if is_count(known) and notes.get("command") == list(command) else journal.newest_attempt()


def typed_in(folder: SweepFolder, attempt: AttemptFolder) -> str:
    """The folder where the sweep's command was typed: relative paths in its options begin there, and not where the
    attempt's program was started, which may be elsewhere (`cwd`). Of the first edition both are the same."""
    return str(read_sweep(folder).get("cwd") or read_launch(attempt).cwd or os.getcwd())
