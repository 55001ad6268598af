"""The commands beside the sweep: one function each, named as it is typed.

Covers: their flags, and printing what the rooms below say. Not: the sweep itself and `retry`, which is one; errors and
their exit codes (`cli`).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ..errors import UserError
from .parser import args_parser, logs_parser, number, spell, status_parser, stop_parser


def status(argv: Sequence[str]) -> int:
    from ..display import status

    flags = status_parser().parse_args(spell(argv))
    if flags.watch and not flags.json:
        from ..display.watch import watch

        return watch(flags.dir)
    journal, folder = status.open_sweep(flags.dir)
    if flags.json:
        import json

        print(json.dumps(status.as_json(journal, folder), ensure_ascii=False, indent=1))
    else:
        for line in status.lines(journal, folder):
            print(line)
    return 0


def stop(argv: Sequence[str]) -> int:
    from . import control

    flags = stop_parser().parse_args(spell(argv))
    for line in control.stop(flags.dir, flags.now):
        print(line)
    return 0


def logs(argv: Sequence[str]) -> int:
    from . import control

    flags = logs_parser().parse_args(spell(argv))
    for data in control.logs(flags.dir, number("INDEX", flags.index), flags.follow):
        sys.stdout.buffer.write(data)
        sys.stdout.flush()
    return 0


def sample(argv: Sequence[str]) -> int:
    from .. import sampling

    return sampling.main(argv)


def report(argv: Sequence[str]) -> int:
    from ..report import commands

    return commands.report(argv)


def grid(argv: Sequence[str]) -> int:
    from ..report import commands

    return commands.grid(argv)


def best(argv: Sequence[str]) -> int:
    from ..report import commands

    return commands.best(argv)


def args(argv: Sequence[str]) -> int:
    from pathlib import Path

    from ..trainers.script_options import table
    from ..trainers.script_options.reader import accepted
    from ..trainers.sd_scripts.script import find_script

    flags = args_parser().parse_args(spell(argv))
    script, word = (flags.word, "") if flags.word.endswith(".py") else (None, flags.word)
    path = find_script(Path(flags.repo), script, None, False)
    rows = table.rows(accepted(path), word)
    if not rows:
        raise UserError(f"{path.name} accepts nothing with {word!r} in its name or help", source=str(path))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        print(
            "  ".join(f"{cell:<{min(width, 40)}}" for cell, width in zip(row, widths, strict=False)), row[4], sep="  "
        )
    return 0
