"""What all commands' parsers share: spellings, errors as sentences, the types of arguments.

Covers: argparse, and what it cannot do (`-` and `_` interchangeable, `-cuda-memory-limit`, the nearest flag in an
error). Not: which flags there are (each command's module). Nothing heavy is imported, because `--help` must be quick.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from typing import NoReturn

from ..errors import UserError, nearest
from ..store.run_ids import ID
from . import COMMANDS

HIGHEST = 10**15
"""Of a number given to a flag: an index of the largest sweep."""


class Parser(argparse.ArgumentParser):
    """Errors as `UserError` instead of a usage dump."""

    def __init__(self, command: str, description: str, epilog: str | None = None) -> None:
        super().__init__(
            prog=f"automate-train {command}".strip(),
            description=description,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
            exit_on_error=False,
        )
        self.command = command

    def sweep_dir(self) -> None:
        """Add the argument that names a sweep."""
        self.add_argument("dir", metavar="DIR", help="<temp_dir>/<project_name_base>, or a temp_dir with one sweep")

    def parse(self, argv: Sequence[str]) -> argparse.Namespace:
        try:
            return self.parse_args(spell(argv))
        except argparse.ArgumentError as error:
            raise UserError(error.message, source="command line", key=error.argument_name or "") from None

    def error(self, message: str) -> NoReturn:
        if not message.startswith("unrecognized arguments: "):
            raise UserError(message, source="command line", hint=f"see {self.prog} --help")
        word = message.split(": ", 1)[1].split()[0]
        if not word.startswith("-") and self.command in COMMANDS:
            usage = f"usage: {self.prog} {COMMANDS[self.command][0]}"
            raise UserError(f"{word!r} is one word too many", source="command line", hint=usage)
        if not word.startswith("-"):
            hint = nearest(word, COMMANDS) or f"commands: {', '.join(COMMANDS)}; see automate-train --help"
            raise UserError(f"{word!r} is neither a command nor the value of a flag", source="command line", hint=hint)
        known = [name for name in self._option_string_actions if name.startswith("--")]
        hint = nearest(word.replace("_", "-"), known) or f"see {self.prog} --help"
        raise UserError(f"there is no flag {word}", hint=hint)


def spell(argv: Sequence[str]) -> list[str]:
    """`--cuda_memory_limit=9` and `-cuda-memory-limit 9` as argparse knows them; values stay as they are."""
    spelled: list[str] = []
    for at, word in enumerate(argv):
        if word == "--":
            return [*spelled, *argv[at:]]
        if len(word) > 3 and word[0] == "-" and word[1].isalpha():
            word = "-" + word
        if word.startswith("--"):
            flag, equals, value = word.partition("=")
            word = flag.replace("_", "-") + equals + value
        spelled.append(word)
    return spelled


def whole(lowest: int) -> Callable[[str], int]:
    """A whole number from `lowest` up."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = lowest - 1
        if not lowest <= value <= HIGHEST:
            raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a whole number of {lowest} or more")
        return value

    return read


def gibibytes(text: str) -> int:
    """A decimal number of GiB, as bytes."""
    value = _decimal(text)
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a number of GiB above 0, for example 9 or 7.5")
    return int(value * 1024**3)


def seconds(text: str) -> float:
    value = _decimal(text)
    if not 0 <= value < 1e8:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a number of seconds, for example 600")
    return value


def _decimal(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return -1.0


def run_word(text: str) -> str:
    """A run's index or its id, as `sweep.choice` knows them."""
    word = text.strip().lower()
    if re.fullmatch(r"[0-9]{1,15}", word):
        return str(int(word))
    if not ID.fullmatch(word):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is neither a run's index nor its id, for example 3 or 3f9a")
    return word


def runs(text: str) -> tuple[range | str, ...]:
    """`0,3,5-7,3f9a` as ranges of indexes and ids."""
    words = text.split(",")
    ids = [word.strip().lower() for word in words if ID.fullmatch(word.strip().lower())]
    rest = [word for word in words if word.strip().lower() not in ids]
    return (*(ranges(",".join(rest)) if rest else ()), *ids)


def ranges(text: str) -> tuple[range, ...]:
    """`0,3,5-7` as ranges, in ascending order."""
    found = []
    for part in map(str.strip, text.split(",")):
        first, dash, last = part.partition("-")
        wrong = not re.fullmatch(r"[0-9]{1,18}(-[0-9]{1,18})?", part)
        if wrong or (dash and int(last) < int(first)):
            raise argparse.ArgumentTypeError(f"{part[:40]!r} is not a number or a range, for example 0,3,5-7")
        found.append(range(int(first), int(last or first) + 1))
    return tuple(sorted(found, key=lambda each: each.start))
