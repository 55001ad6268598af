"""`automate-train status DIR --watch`: the table again and again, until the sweep is over.

Covers: when it is read again and how it is redrawn. Not: what the table says (`status`).
"""

from __future__ import annotations

import sys
import time
from contextlib import closing

from ..machine import lock
from ..store.history import Histories
from ..store.journal import open_sweep
from .status import histories_of, lines

INTERVAL = 2.0
"""Seconds between two readings."""
CLEAR = "\033[H\033[2J\033[3J"


def watch(path: str) -> int:
    """The exit code: 0 when the sweep ended with nothing failed, else 1."""
    shown = ""
    histories: Histories | None = None
    while True:
        # Opened anew each time: a journal that stays open keeps its files from being tidied up when the sweep ends.
        journal, folder = open_sweep(path)
        with closing(journal):
            histories = histories_of(journal, folder) if histories is None else histories
            histories.journal = journal
            running = lock.is_held(folder.lock)
            text = "\n".join(lines(journal, folder, histories))
            failed = any(record.state in ("failed", "lost") for record in journal.records())
        if text != shown:
            shown = text
            print(f"{CLEAR}{text}" if sys.stdout.isatty() else f"{text}\n", flush=True)
        if not running:
            return int(failed)
        time.sleep(INTERVAL)
