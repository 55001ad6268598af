"""`automate-train args REPO_DIR`: what a trainer's script accepts, read from its source.

Covers: its arguments, the table in columns. Not: reading the source and the table's cells
(`trainers/script_options`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..errors import UserError
from ..trainers.script_options import table
from ..trainers.script_options.reader import accepted
from ..trainers.sd_scripts.script import find_script
from .parser import Parser

WIDEST = 40
"""Letters of a column."""


def parser() -> Parser:
    made = Parser("args", "What a trainer's script accepts, read from its source.")
    made.add_argument("repo", metavar="REPO_DIR", help="folder of sd-scripts, or `tiny`")
    made.add_argument("word", metavar="SCRIPT|WORD", nargs="?", default="",
                      help="a script of it, or a word to search for")  # fmt: skip
    return made


def main(argv: Sequence[str]) -> int:
    flags = parser().parse(argv)
    script, word = (flags.word, "") if flags.word.endswith(".py") else (None, flags.word)
    path = find_script(Path(flags.repo), script, None, False)
    rows = table.rows(accepted(path), word)
    if not rows:
        raise UserError(f"{path.name} has no option with {word!r} in its name or help", source=str(path))
    widths = [min(WIDEST, max(len(row[column]) for row in rows)) for column in range(4)]
    for row in rows:
        cells = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False))
        print("  ".join([*cells, row[4]]))
    return 0
