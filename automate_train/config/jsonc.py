"""JSON as people write it by hand: comments (`//`, `#`, `/* */`), trailing commas, tabs; and where it is wrong.

Covers: text -> values, numbers that remember their spelling, every error with file, line, column and the line itself.
Not: what the values mean (`config`). Comments become blanks of equal length, so that places stay true.
"""

from __future__ import annotations

import json
import re
from typing import NoReturn

from ..errors import UserError
from .masking import without_values_of_secrets

DEPTH = 50
MAX_DIGITS = 300
"""Of a whole number: it can still be compared with a float."""
# What is never closed reaches to the end: looking for its end again from every later place would take hours.
STRING = r"""(?P<string>"(?:\\.|[^"\\])*(?:"|\\?\Z))"""
PIECES = re.compile(
    STRING + r"""|(?P<comment>//[^\n]*|\#[^\n]*|/\*.*?(?:\*/|\Z))|(?P<open>[\[{])|(?P<close>[\]}])""",
    re.DOTALL | re.VERBOSE,
)
TRAILING_COMMA = re.compile(STRING + r"|,(?=\s*[\]}])", re.DOTALL)


class Number(float):
    """A float that remembers how it was written: names say `1e-4` where the file says so."""

    text: str

    def __new__(cls, text: str) -> Number:
        number = super().__new__(cls, text)
        number.text = text
        return number

    def __reduce__(self) -> tuple[type[Number], tuple[str]]:
        return Number, (self.text,)


class _Duplicate(ValueError):
    pass


def parse(text: str, where: str) -> object:
    """The values of a JSON text; `UserError` names `where`, line and column."""
    plain = _without_comments(text, where)
    plain = TRAILING_COMMA.sub(lambda match: match["string"] or " ", plain)
    try:
        values: object = json.loads(
            plain,
            strict=False,
            parse_float=Number,
            parse_int=_whole,
            parse_constant=_no_constant,
            object_pairs_hook=_no_duplicates,
        )
        return values
    except json.JSONDecodeError as error:
        fail(text, where, error.pos, error.msg)
    except _Duplicate as error:
        key = str(error)
        places = [
            match.start() for match in re.finditer(re.escape(json.dumps(key, ensure_ascii=False)) + r"\s*:", plain)
        ]
        fail(text, where, places[1] if len(places) > 1 else 0, f"the key {key!r} appears twice in one object")
    except (ValueError, RecursionError) as error:
        raise UserError(f"is not valid JSON: {error}", source=where) from None


def fail(text: str, where: str, position: int, message: str) -> NoReturn:
    """Raise with file:line:column, the line itself and a mark under the place."""
    line = text.count("\n", 0, position) + 1
    column = position - (text.rfind("\n", 0, position) + 1) + 1
    shown = (without_values_of_secrets(text).split("\n")[line - 1] if text else "").replace("\t", " ")[:200]
    raise UserError(f"{message}\n  {shown}\n  {' ' * min(column - 1, 200)}^", source=f"{where}:{line}:{column}")


def _without_comments(text: str, where: str) -> str:
    depth = 0
    pieces = []
    last = 0
    for match in PIECES.finditer(text):
        if match.lastgroup == "comment":
            if match[0].startswith("/*") and (len(match[0]) < 4 or not match[0].endswith("*/")):
                fail(text, where, match.start(), "this comment is never closed with */")
            pieces += [text[last : match.start()], re.sub(r"[^\n]", " ", match[0])]
            last = match.end()
        elif match.lastgroup == "open":
            depth += 1
            if depth > DEPTH:
                fail(text, where, match.start(), f"is nested deeper than {DEPTH} levels")
        elif match.lastgroup == "close":
            depth -= 1
    return "".join([*pieces, text[last:]])


def _whole(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError(f"{text[:12]}... has {len(text)} digits, and {MAX_DIGITS} are the most")
    return int(text)


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number that a config file may hold")


def _no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _Duplicate(key)
            seen.add(key)
    return found
