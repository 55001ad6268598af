"""The report beside the sweep: where it comes from is noted once, the page is made again as runs finish.

Covers: when. While runs train, a page is made by a process of its own at low priority; the last one at the end of the
sweep. Not: what it shows (`report`).
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..store.journal import Journal
from ..store.layout import SweepFolder

SELDOM = 30.0
"""Seconds between two pages while runs train."""


class Pages:
    def __init__(self, folder: SweepFolder, journal: Journal, provenance: Callable[[], dict[str, Any]]) -> None:
        self.folder, self.journal, self.provenance = folder, journal, provenance
        self.made = time.monotonic()
        self.pid = 0

    def note(self) -> None:
        """Where the sweep comes from. Looking at the installed packages takes a tenth of a second: it belongs to the
        moment in which the first runs have just started and none can end yet."""
        self.journal.note(provenance=self.provenance())

    def turn(self, news: bool) -> None:
        """Called each turn of the loop; `news`: a checkpoint was saved, or a run has ended."""
        now = time.monotonic()
        if self.pid and os.waitpid(self.pid, os.WNOHANG)[0]:
            self.pid = 0
        if news and not self.pid and now - self.made > SELDOM:
            self.made = now
            self._start()

    def _start(self) -> None:
        argv = [sys.executable, "-m", "automate_train", "report", str(self.folder.path)]
        nothing = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1, 2)]
        with contextlib.suppress(OSError):  # the next one will do
            self.pid = os.posix_spawn("/bin/sh", ["sh", "-c", 'exec nice "$@"', "sh", *argv], os.environ,
                                      file_actions=nothing, setsid=True)  # fmt: skip

    def finish(self) -> Path | None:
        """The last page; None when it could not be made."""
        if self.pid:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self.pid, 0)
        return write_or_explain(self.folder)


def write_or_explain(folder: SweepFolder, seconds: float = 10.0) -> Path | None:
    """The path of the new page; None when an error, which must not end the sweep, is in report-error.txt. At most about
    `seconds` go into new thumbnails; a later report makes the rest."""
    from .assemble import write_page  # 64 ms, which the first start of a run does not wait for

    try:
        return write_page(folder, seconds=seconds).path
    except Exception:
        with contextlib.suppress(OSError):
            (folder.path / "report-error.txt").write_text(traceback.format_exc(), encoding="utf-8")
        return None
