"""`automate-train status DIR --watch`: the table again and again, until the sweep is over.

Covers: when to look and how to redraw. Not: what the table says (`status`).
"""

from __future__ import annotations

import sys
import time

from ..machine import lock
from ..store.journal import Journal
from .status import lines, open_sweep

EVERY = 2.0
"""Seconds between two looks."""
CLEAR = "\033[H\033[2J\033[3J"


def watch(path: str) -> int:
    """The exit code: 0 when the sweep ended with nothing failed, else 1."""
    shown = ""
    while True:
        journal, folder = open_sweep(path)
        going = lock.is_held(folder.lock)
        text = "\n".join(lines(journal, folder))
        if text != shown:
            shown = text
            print(f"{CLEAR}{text}" if sys.stdout.isatty() else f"{text}\n", flush=True)
        if not going:
            failed = _failed(journal)
            journal.close()
            return 1 if failed else 0
        journal.close()
        time.sleep(EVERY)


def _failed(journal: Journal) -> bool:
    return any(record.state in ("failed", "lost") for record in journal.records())
