"""`automate-train status DIR`: the state of a sweep, from any terminal.

Covers: its flags and which form it takes. Not: the table (`display/status`), watching it (`display/watch`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from ..display import status
from ..display.watch import watch
from ..store.journal import open_sweep
from .parser import Parser


def parser() -> Parser:
    made = Parser("status", "The state of a sweep and of its runs.")
    made.sweep_dir()
    made.add_argument("--json", action="store_true", help="one JSON object")
    made.add_argument("--watch", action="store_true", help="again every two seconds, until the sweep is over")
    return made


def main(argv: Sequence[str]) -> int:
    flags = parser().parse(argv)
    if flags.watch and not flags.json:
        return watch(flags.dir)
    journal, folder = open_sweep(flags.dir)
    if flags.json:
        print(json.dumps(status.as_json(journal, folder), ensure_ascii=False, indent=1))
        return 0
    for line in status.lines(journal, folder):
        print(line)
    return 0
