"""The comparison page: `report.html` of a sweep, pictures by setting, curves, one table, marks, provenance.

Covers: the doors of this room. `main`, `grid_main`, `best_main` are commands (argv -> exit code, `UserError` for what
is wrong with them); `write` is what a sweep calls when runs finish; what it notes at its start is `provenance`.
Not: how (`data`, `thumbs`, `page`, `grid`, `best`). Nothing here changes the journal or an attempt's folder.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..store.layout import SweepFolder

__all__ = ["best_main", "grid_main", "main", "write"]


def main(argv: Sequence[str]) -> int:
    """`automate-train report DIR [--out FILE] [--inline] [--marks FILE]`"""
    from .commands import report

    return report(argv)


def grid_main(argv: Sequence[str]) -> int:
    """`automate-train grid DIR --x KEY --y KEY [--prompt N] [--at KEY=VALUE] -o FILE.png`"""
    from .commands import grid

    return grid(argv)


def best_main(argv: Sequence[str]) -> int:
    """`automate-train best DIR [--marks FILE] [--run INDEX]`"""
    from .commands import best

    return best(argv)


def write(folder: SweepFolder, seconds: float = 10.0) -> Path | None:
    """The sweep's page as it stands now, and the finished runs' picture strips; the page's path, or None. Never raises:
    a sweep must not end for its report. At most about `seconds` go into new thumbnails; a later call makes the rest.
    """
    from .assemble import build

    try:
        return build(folder, seconds=seconds).page
    except Exception:
        import traceback

        with contextlib.suppress(OSError):
            (folder.path / "report-error.txt").write_text(traceback.format_exc(), encoding="utf-8")
        return None
