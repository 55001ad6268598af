"""`automate-train sample DIR`: sample pictures that are missing, or of new prompts, on a WebUI.

Covers: its flags and its config file, as the sampler's arguments. Not: the sampling (`sampling/session`).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence

from ..config.layers import merge, read
from ..config.prompts import read_prompts
from ..config.sampling_options import sampler_environment
from ..config.values import unset
from ..errors import UserError
from ..preflight.own_keys import problems
from ..records import RunRecord
from ..store.journal import open_sweep
from ..store.layout import find_sweep
from ..sweep.choice import describe, find_run
from .parser import Parser, ranges, runs, seconds

LIMITS = ("outage_limit", "wait_limit", "stuck_limit", "resume_queue", "nudge")
"""Flags that stand for the key of the same name with `webui_` before it."""


def parser() -> Parser:
    made = Parser(
        "sample",
        "Draw the missing samples of a sweep on its WebUIs, or new prompts with its checkpoints.\n"
        "Users and passwords: webui_auth and webui_uploader_auth in the file given with --config, or the environment\n"
        "variables AUTOMATE_TRAIN_WEBUI_AUTH and AUTOMATE_TRAIN_WEBUI_UPLOADER_AUTH.",
    )
    made.sweep_dir()
    add = made.add_argument
    add("--config", metavar="FILE", help="a config file whose webui_ keys are used instead of the sweep's own")
    add("--prompt-path", metavar="FILE", help="these prompts instead of the runs' own")
    add("--webui-url", metavar="URL", action="append", default=[], help="this server instead (repeatable)")
    add("--only", metavar="0,3,5-7,3f9a", type=runs, help="only these runs, by index or id")
    add("--epochs", metavar="2,5-9", type=ranges, help="the checkpoints of these epochs, and no others")
    add("--outage-limit", metavar="S", type=seconds,
        help="give up a server that has not answered for so long (default 600)")  # fmt: skip
    add("--wait-limit", metavar="S", type=seconds,
        help="give up pictures that have waited in a queue for so long (default 21600)")  # fmt: skip
    add("--stuck-limit", metavar="S", type=seconds,
        help="report a task of a queue that has run for so long (default 180)")  # fmt: skip
    add("--resume-queue", action="store_true", default=None, help="resume a server's queue that somebody has paused")
    add("--nudge", action="store_true", default=None, help="restart a stalled queue by drawing a small picture")
    add("--follow", action="store_true", help="standard input tells when there is something new (the sweep does this)")
    return made


def main(argv: Sequence[str]) -> int:
    """0: all samples are there, 1: some failed or are missing."""
    flags = parser().parse(argv)
    folder = find_sweep(flags.dir)
    if flags.prompt_path is not None:
        read_prompts(flags.prompt_path)
    for record in _named_by_id(flags.only or (), flags.dir):
        print(describe(record), flush=True)
    above = _of_file(flags.config) if flags.config is not None else {}
    above |= {f"webui_{name}": value for name in LIMITS if (value := getattr(flags, name)) is not None}
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # both mean: take our things away and end
    from ..sampling.planner import SampleSelection  # 60 ms for requests, which --help need not wait for
    from ..sampling.session import run

    return run(
        folder,
        SampleSelection(flags.prompt_path, tuple(flags.webui_url), flags.only, flags.epochs),
        follow=flags.follow,
        above=above,
        environment={**os.environ, **sampler_environment(above)},
        say=lambda text: print(text.encode(errors="backslashreplace").decode() + "\n", end="", flush=True),
    )


def _named_by_id(only: Sequence[range | str], path: str) -> list[RunRecord]:
    """`UserError` for an id that no run has."""
    ids = [each for each in only if isinstance(each, str)]
    if not ids:
        return []
    journal, _ = open_sweep(path)
    records = list(journal.records())
    return [find_run(records, each, path) for each in ids]


def _of_file(path: str) -> dict[str, object]:
    """The keys about image servers in a config file; `UserError` for a wrong value."""
    settings, _ = merge([read(path, "config file")])
    found = {key: each for key, each in settings.items() if key.startswith("webui_") and not unset(each.value)}
    for wrong in problems(found):
        raise UserError(wrong.message, source=wrong.source, key=wrong.key)
    above = {key: each.value for key, each in found.items()}
    if "webui_url" in above or "webui_urls" in above:  # the runs' own servers are not asked, under whichever key
        above = {"webui_url": None, "webui_urls": None, **above}
    return above
