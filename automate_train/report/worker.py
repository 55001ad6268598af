"""The report of a sweep that is training: provenance at the start, pages while runs finish, the last page at the end.

Covers: when each is made, and that none of them delays the sweep: provenance and the last page are made by threads, the
pages between by a process at low priority. Not: what they show (`assemble`, `provenance`).
"""

from __future__ import annotations

import contextlib
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..machine.child_process import ChildProcess, own_command
from ..records import Setting, SweepContext
from ..store.files import write
from ..store.layout import SweepFolder
from ..training.signals import StopSignals

SECONDS_BETWEEN_PAGES = 30.0
LAST_PAGE_SECONDS = 120.0
"""How long the sweep's command waits for its last page, which only a disk that hangs makes longer."""


class ReportWorker:
    wake_on = ()
    """It has nothing to say."""

    def __init__(self, folder: SweepFolder) -> None:
        self.folder = folder
        self._last_start = time.monotonic()
        self._beginning: threading.Thread | None = None
        self._child: ChildProcess | None = None
        self._last_page: Path | None = None

    def begin(self, context: SweepContext, options: Mapping[str, Setting], gpus: Sequence[str]) -> None:
        """Write provenance.json; called when the first runs have started. `options`: the first run's; `gpus`: names."""
        self._beginning = threading.Thread(target=self._begin, args=(context, options, gpus), daemon=True)
        self._beginning.start()

    def _begin(self, context: SweepContext, options: Mapping[str, Setting], gpus: Sequence[str]) -> None:
        # 20 to 30 ms; now, and not at the end, because the package may be updated while the sweep runs.
        from . import assemble  # noqa: F401
        from .provenance import write_provenance

        with contextlib.suppress(OSError):
            write_provenance(self.folder, context, options, gpus)

    def update(self, news: bool) -> None:
        """Called at each turn of the loop; `news`: a checkpoint was saved, or a run has ended."""
        now = time.monotonic()
        if self._child is not None and self._child.poll() is not None:
            self._child = None
        if news and self._child is None and now - self._last_start > SECONDS_BETWEEN_PAGES:
            self._last_start = now
            with contextlib.suppress(OSError):  # the next page will do
                self._child = ChildProcess(own_command("report", str(self.folder.path)), nice=True)

    def finish(self, stop: StopSignals) -> Path | None:
        """Make the last page; None when there is none after `LAST_PAGE_SECONDS`, or when a person does not wait."""
        thread = threading.Thread(target=self._finish, daemon=True)
        thread.start()
        asked, deadline = stop.interrupts, time.monotonic() + LAST_PAGE_SECONDS
        while thread.is_alive() and stop.interrupts == asked and time.monotonic() < deadline:
            thread.join(0.1)
        return self._last_page

    def _finish(self) -> None:
        if self._beginning is not None:
            self._beginning.join()
        if self._child is not None:
            self._child.wait()
            self._child = None
        self._last_page = write_or_explain(self.folder)


def write_or_explain(folder: SweepFolder, seconds: float = 10.0) -> Path | None:
    """The path of the new page; None when an error, which must not end the sweep, is in report-error.txt. At most about
    `seconds` go into new thumbnails; a later report makes the rest."""
    from .assemble import write_page  # 20 to 30 ms, which the first start of a run does not wait for

    try:
        return write_page(folder, seconds=seconds).path
    except Exception:
        with contextlib.suppress(OSError):
            write(folder.report_error, traceback.format_exc())
        return None
