"""`automate-train judge DIR`: measure checkpoints on the held-out pictures.

Covers: its flags, as the judge's arguments. Not: the judging (`judging/session`).
"""

from __future__ import annotations

import signal
from collections.abc import Sequence

from ..errors import UserError
from ..store.layout import find_sweep
from .parser import Parser


def parser() -> Parser:
    made = Parser(
        "judge",
        "Measure every checkpoint of a sweep that has no score: the plain error on the held-out pictures, at fixed\n"
        "timesteps and with the same noise for all of them. The scores are lines of DIR/scores.jsonl; an empty\n"
        "checkpoint is the base model without a LoRA. Ended at any moment, the same command goes on.",
    )  # fmt: skip
    made.sweep_dir()
    add = made.add_argument
    add("--device", metavar="N", help="on this GPU; unless given, on one that nobody uses, when the sweep has ended")
    add("--cpu", action="store_true", help="on the CPU")
    add("--follow", action="store_true", help="standard input tells when there is something new (the sweep does this)")
    return made


def main(argv: Sequence[str]) -> int:
    """0: every checkpoint has its scores, 1: some could not be measured."""
    flags = parser().parse(argv)
    if flags.cpu and flags.device is not None:
        raise UserError("--cpu and --device are two places", source="command line", hint="give one of them")
    folder = find_sweep(flags.dir)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # both mean: end, and leave the rest for later
    from ..judging.session import run  # 20 ms, which --help need not wait for

    return run(
        folder,
        follow=flags.follow,
        device=flags.device,
        cpu=flags.cpu,
        say=lambda text: print(text.encode(errors="backslashreplace").decode(), flush=True),
    )
