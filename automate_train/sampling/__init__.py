"""Checkpoints -> WebUIs -> sample pictures, in a process of its own beside the sweep, or long after it.

    automate-train sample DIR [--prompt_path NEW] [--webui_url U] [--only 0,3] [--epochs 5-9]

Covers: which checkpoints are due (`due`, `lookout`), which server gets which (`dispatch`), bringing and taking away
their LoRAs (`carrier`), the pictures (`drawer`, `pictures`), looking at the servers before a sweep (`checks`).
Not: HTTP (`webui`), prompts (`payloads`), SQL (`sample_journal`), the trackers (`hook`). It may be killed at any
moment: the journal knows what is on a server before it is there, a picture's `.json` says that it is made.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from ..cli.sample import main, sample_parser

if TYPE_CHECKING:
    from ..errors import Problem
    from ..records import Setting


def preflight(options: Iterable[Mapping[str, Setting]], secrets: Mapping[str, str]) -> Sequence[Problem]:
    """See `checks.preflight`; only here it costs the import of requests."""
    from ..preflight import image_servers

    return image_servers.preflight(options, secrets)


__all__ = ["main", "preflight", "sample_parser"]
