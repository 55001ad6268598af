"""The judge's process while a sweep runs: `automate-train judge DIR --follow`.

Covers: whether and when the sweep starts it (`held_out`, `judge`, `judge_device`), and how. Not: judging (`session`),
what becomes of the process (`machine/following_process`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import NamedTuple

from ..config.values import unset
from ..machine.following_process import Following, FollowingProcess
from ..records import Setting
from ..store.layout import SweepFolder


class JudgeRequest(NamedTuple):
    beside: bool
    """While runs are trained; else after the last one."""
    device: str
    """As people write it; empty: any that is free."""


def judge_request(settings: Mapping[str, Setting]) -> JudgeRequest | None:
    """None: nothing is held out, or `judge` is off."""
    values = {key: settings[key].value for key in ("held_out", "judge", "judge_device") if key in settings}
    if unset(values.get("held_out")) or values.get("judge") == "off":
        return None
    device = values.get("judge_device")
    return JudgeRequest(values.get("judge") == "beside", "" if unset(device) else str(device))


def judge_process(
    folder: SweepFolder, request: JudgeRequest, cpu: bool, say: Callable[[str], None]
) -> FollowingProcess:
    """`cpu`: the runs use no GPU, and neither does the judge."""
    flags = ("--cpu",) if cpu else ("--device", request.device) if request.device else ()
    return FollowingProcess(Following("judge", str(folder.path), "judge", "judge", flags), os.environ, say)
