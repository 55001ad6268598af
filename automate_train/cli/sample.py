"""`automate-train sample DIR`: its flags, and the sweep's folder.

Covers: argv -> `run`. Not: printing errors and choosing exit codes for them (`cli`, `__main__`).
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from typing import Any

from ..errors import UserError
from ..store.layout import find_sweep
from .parser import Parser, indexes, spell


def sample_parser() -> Parser:
    parser = Parser(
        prog="automate-train sample",
        description="Draw the missing samples of a sweep on its WebUIs, or new prompts with its checkpoints. "
        "Users and passwords are read from AUTOMATE_TRAIN_WEBUI_AUTH and AUTOMATE_TRAIN_WEBUI_UPLOADER_AUTH.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("dir", metavar="DIR", help="<temp_dir>/<project_name_base>, or a temp_dir with one sweep")
    add("--prompt-path", metavar="FILE", help="these prompts instead of the runs' own")
    add("--webui-url", metavar="URL", action="append", default=[], help="this server instead (repeatable)")
    add("--only", metavar="0,3,5-7", help="only the runs with these indexes")
    add("--epochs", metavar="2,5-9", help="the checkpoints of these epochs, and no others")
    add("--outage-limit", metavar="S", help="give a server up that does not answer for so long (default 600)")
    add("--wait-limit", metavar="S", help="let pictures wait in a queue for so long (default 21600)")
    add("--stuck-limit", metavar="S", help="find it odd when one task of a queue takes so long (default 180)")
    add("--resume-queue", action="store_true", help="resume a server's queue that somebody has paused")
    add("--nudge", action="store_true", help="wake a queue that stands still by a small picture")
    add("--follow", action="store_true", help="standard input tells when there is something new (the sweep does this)")
    return parser


def main(argv: Sequence[str]) -> int:
    """0: all samples are there, 1: some failed or are missing. `UserError` for what is wrong with the flags."""
    flags = sample_parser().parse_args(spell(argv))
    folder = find_sweep(flags.dir)
    given: dict[str, Any] = {"resume": flags.resume_queue, "nudge": flags.nudge}
    for name in ("outage", "wait", "stuck"):
        if (text := getattr(flags, f"{name}_limit")) is not None:
            given[name] = _seconds(f"--{name}-limit", text)
    from ..sampling.context import Limits  # requests: not for --help
    from ..sampling.session import run

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # both mean: take our things away and end
    return run(
        folder,
        prompt_path=flags.prompt_path,
        urls=flags.webui_url,
        only=indexes("--only", flags.only) if flags.only is not None else None,
        epochs=indexes("--epochs", flags.epochs) if flags.epochs is not None else None,
        follow=flags.follow,
        limits=Limits(**given),
        say=lambda text: print(text.encode(errors="backslashreplace").decode(), flush=True),
    )


def _seconds(flag: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e8:
        raise UserError(f"{text!r} is no number of seconds", source="command line", key=flag, hint="for example 600")
    return value
