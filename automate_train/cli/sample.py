"""`automate-train sample DIR`: sample pictures that are missing, or of new prompts, on a WebUI.

Covers: its flags, as the sampler's arguments. Not: the sampling (`sampling/session`).
"""

from __future__ import annotations

import signal
from collections.abc import Sequence

from ..sampling.context import Limits
from ..sampling.planner import SampleSelection
from ..sampling.session import run
from ..store.layout import find_sweep
from .parser import Parser, ranges, seconds


def parser() -> Parser:
    made = Parser(
        "sample",
        "Draw the missing samples of a sweep on its WebUIs, or new prompts with its checkpoints.\n"
        "Users and passwords are read from AUTOMATE_TRAIN_WEBUI_AUTH and AUTOMATE_TRAIN_WEBUI_UPLOADER_AUTH.",
    )
    made.sweep_dir()
    add = made.add_argument
    add("--prompt-path", metavar="FILE", help="these prompts instead of the runs' own")
    add("--webui-url", metavar="URL", action="append", default=[], help="this server instead (repeatable)")
    add("--only", metavar="0,3,5-7", type=ranges, help="only the runs with these indexes")
    add("--epochs", metavar="2,5-9", type=ranges, help="the checkpoints of these epochs, and no others")
    add("--outage-limit", metavar="S", type=seconds,
        help="give up a server that has not answered for so long (default 600)")  # fmt: skip
    add("--wait-limit", metavar="S", type=seconds,
        help="give up pictures that have waited in a queue for so long (default 21600)")  # fmt: skip
    add("--stuck-limit", metavar="S", type=seconds,
        help="report a task of a queue that has run for so long (default 180)")  # fmt: skip
    add("--resume-queue", action="store_true", help="resume a server's queue that somebody has paused")
    add("--nudge", action="store_true", help="restart a stalled queue by drawing a small picture")
    add("--follow", action="store_true", help="standard input tells when there is something new (the sweep does this)")
    return made


def main(argv: Sequence[str]) -> int:
    """0: all samples are there, 1: some failed or are missing."""
    flags = parser().parse(argv)
    folder = find_sweep(flags.dir)
    limits = {"outage": flags.outage_limit, "wait": flags.wait_limit, "stuck": flags.stuck_limit}
    given = {name: value for name, value in limits.items() if value is not None}
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # both mean: take our things away and end
    return run(
        folder,
        SampleSelection(flags.prompt_path, tuple(flags.webui_url), flags.only, flags.epochs),
        follow=flags.follow,
        limits=Limits(resume=flags.resume_queue, nudge=flags.nudge, **given),
        say=lambda text: print(text.encode(errors="backslashreplace").decode(), flush=True),
    )
