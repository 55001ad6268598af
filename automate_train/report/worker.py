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
from ..store.layout import SweepFolder

SECONDS_BETWEEN_PAGES = 30.0
LAST_PAGE_SECONDS = 120.0
"""How long the sweep's command waits for its last page: longer on a disk that hangs only."""


class ReportWorker:
    def __init__(self, folder: SweepFolder) -> None:
        self.folder = folder
        self.last_start = time.monotonic()
        self.child: ChildProcess | None = None
        """Makes a page while runs train."""
        self.beginning: threading.Thread | None = None
        self.page: Path | None = None

    def begin(self, context: SweepContext, options: Mapping[str, Setting], gpus: Sequence[str]) -> None:
        """Write provenance.json; called when the first runs have started. `options`: the first run's; `gpus`: names."""
        self.beginning = threading.Thread(target=self._begin, args=(context, options, gpus), daemon=True)
        self.beginning.start()

    def _begin(self, context: SweepContext, options: Mapping[str, Setting], gpus: Sequence[str]) -> None:
        from . import assemble  # noqa: F401  # 64 ms; now, because the package may be updated while the sweep runs
        from .provenance import write_provenance

        with contextlib.suppress(OSError):
            write_provenance(self.folder, context, options, gpus)

    def update(self, news: bool) -> None:
        """Called at each turn of the loop; `news`: a checkpoint was saved, or a run has ended."""
        now = time.monotonic()
        if self.child is not None and self.child.poll() is not None:
            self.child = None
        if news and self.child is None and now - self.last_start > SECONDS_BETWEEN_PAGES:
            self.last_start = now
            with contextlib.suppress(OSError):  # the next page will do
                self.child = ChildProcess(own_command("report", str(self.folder.path)), nice=True)

    def finish(self) -> Path | None:
        """Make the last page; None when there is none after `LAST_PAGE_SECONDS` or Ctrl-C."""
        thread = threading.Thread(target=self._finish, daemon=True)
        thread.start()
        with contextlib.suppress(KeyboardInterrupt):
            thread.join(LAST_PAGE_SECONDS)
        return self.page

    def _finish(self) -> None:
        if self.beginning is not None:
            self.beginning.join()
        if self.child is not None:
            self.child.wait()
        self.page = write_or_explain(self.folder)


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
