"""`automate-train compare FILE.csv`: which setting is better, and how sure that is, of any table of scores.

Covers: its flags, reading the file, the printed table. Not: the statistics (`judging/statistics`), the sentences
(`judging/answer`).
"""

from __future__ import annotations

import csv
import json
import math
import sys
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from ..errors import UserError, pip_install, printable
from .parser import Parser

if TYPE_CHECKING:
    from ..judging.statistics import Comparison, Row

COLUMNS = ("setting", "seed", "item", "score")
MOST_LINES = 2_000_000
LONGEST_LINE = 100_000
SHOWN = 50
"""Settings in the printed table."""


def parser() -> Parser:
    made = Parser(
        "compare",
        "Which setting is better, and how sure that is: of a CSV file with the columns setting, seed, item, score.",
        "One line a score: how well one training (a setting with a seed) did on one item (a picture, a task).\n"
        "How sure is computed, and what the words mean: docs/judging.md",
    )
    made.add_argument("file", metavar="FILE.csv", type=Path)
    made.add_argument("--json", action="store_true", help="one JSON object instead of the table")
    made.add_argument("--higher", action="store_true", help="a higher score is better (default: a lower)")
    return made


def main(argv: Sequence[str]) -> int:
    flags = parser().parse(argv)
    try:
        from ..judging.answer import sentences  # numpy and scipy: 0.5 s, and not everybody has them
        from ..judging.statistics import compare
    except ModuleNotFoundError as error:
        hint = pip_install("numpy", "scipy")
        raise UserError(f"comparing needs numpy and scipy, and {error.name} is missing", hint=hint) from None
    try:
        found = compare(_rows(flags.file.expanduser()), higher=flags.higher)
    except ValueError as error:
        raise UserError(str(error), source=str(flags.file)) from None
    if flags.json:
        json.dump(_as_json(found), sys.stdout, ensure_ascii=False, allow_nan=False)
        print()
        return 0
    for line in (*_table(found, flags.higher), "", *map(printable, sentences(found, higher=flags.higher))):
        print(line)
    return 0


def _as_json(found: Comparison) -> dict[str, object]:
    return {
        "pairs": [pair._asdict() for pair in found.pairs],
        "best": found.best,
        "settings": [each._asdict() for each in found.settings],
    }


def _table(found: Comparison, higher: bool) -> Iterator[str]:
    """The best mean first; * marks what cannot be told from the best."""
    from ..judging.answer import numbers

    lines = [("", "setting", "mean", "95 % interval", "seeds", "items")]
    for each in sorted(found.settings, key=lambda each: -each.mean if higher else each.mean)[:SHOWN]:
        mean, interval = f"{each.mean:.4g}", "-"
        if each.low is not None and each.high is not None:
            mean, low, high = numbers(each.mean, each.low, each.high)
            interval = f"{low} to {high}"
        mark = "*" if each.setting in found.best else ""
        lines.append((mark, printable(each.setting), mean, interval, str(each.seeds), str(each.items)))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        yield "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
    if len(found.settings) > SHOWN:
        yield f"   and {len(found.settings) - SHOWN} more (--json lists all)"
    if len(found.best) > 1:
        yield "* cannot be told from the best"


def _rows(path: Path) -> Iterator[Row]:
    """Raises `UserError` that names the line."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from _read(file, str(path))
    except UnicodeDecodeError:
        raise UserError("is not text in UTF-8", source=str(path), hint="save it as CSV UTF-8") from None
    except csv.Error as error:
        raise UserError(f"is not a CSV file: {error}", source=str(path)) from None
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", source=str(path)) from None


def _read(file: TextIO, source: str) -> Iterator[Row]:
    from ..judging.statistics import Row

    lines = _lines(file, source)
    head = next((line for line in lines if line.strip()), "")
    delimiter = max(",;\t", key=head.count)  # a spreadsheet writes ; where the comma is the decimal point
    reader = csv.reader(chain([head], lines), delimiter=delimiter, strict=True)
    names = [name.strip().lower() for name in next(reader, [])]
    missing = [name for name in COLUMNS if names.count(name) != 1]
    if missing:
        have = f"it has {', '.join(names)[:200]}" if any(names) else "it is empty"
        message = f"needs one column {missing[0]!r} in its first line, and {have}"
        raise UserError(message, source=source, hint=f"columns: {','.join(COLUMNS)}")
    places = [names.index(name) for name in COLUMNS]
    seen: dict[tuple[str, ...], int] = {}
    for cells in reader:
        where = f"{source} line {reader.line_num}"
        if not any(map(str.strip, cells)):
            continue
        found = [cells[place].strip() if place < len(cells) else "" for place in places]
        empty = next((name for name, cell in zip(COLUMNS, found, strict=True) if not cell), None)
        if empty:
            raise UserError(f"has no {empty}", source=where)
        setting, seed, item = key = (sys.intern(found[0]), sys.intern(found[1]), sys.intern(found[2]))
        if key in seen:
            message = f"setting {setting!r}, seed {seed!r}, item {item!r} has a score in line {seen[key]} already"
            raise UserError(message, source=where, hint="one line for each setting, seed and item")
        seen[key] = reader.line_num
        yield Row(setting, seed, item, _score(found[3], where, decimal_comma=delimiter != ","))


def _lines(file: TextIO, source: str) -> Iterator[str]:
    for number in range(1, MOST_LINES + 2):
        line = file.readline(LONGEST_LINE)
        if not line:
            return
        if number > MOST_LINES:
            raise UserError(f"has more than {MOST_LINES:,} lines", source=source, hint="compare a part of it")
        if len(line) == LONGEST_LINE:
            raise UserError(f"is longer than {LONGEST_LINE:,} characters", source=f"{source} line {number}")
        yield line


def _score(text: str, where: str, decimal_comma: bool) -> float:
    plain = text.replace(",", ".") if decimal_comma and "." not in text and text.count(",") == 1 else text
    try:
        value = float(plain) if "_" not in plain else math.nan
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UserError(f"score {text[:40]!r} is not a number", source=where, hint="for example 0.0831")
    return value
