"""The sampler's process while a sweep runs: `automate-train sample DIR --follow`.

Covers: how it is started. Not: sampling (`session`), what becomes of the process (`machine/following_process`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..machine.following_process import Following, FollowingProcess
from ..store.layout import SweepFolder


def sampler_process(
    folder: SweepFolder, environment: Mapping[str, str], say: Callable[[str], None]
) -> FollowingProcess:
    """`environment`: the user's own and the secrets of the sweep."""
    return FollowingProcess(Following("sample", str(folder.path), "samples", "sampler"), environment, say)
