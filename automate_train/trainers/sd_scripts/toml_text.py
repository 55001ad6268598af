"""TOML that the trainer's reader (the package `toml`) reads correctly.

Covers: the types that our two files need. The package's own writer fails at a backslash before an x, and its reader
misreads some texts (one that begins with a comma, in a list), so each text is written in the first of several
spellings that reads back as it was. Not: dates, comments.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache

import toml

from ...errors import UserError
from .value_types import Values

PLAIN = re.compile(r"[\w /.:()+*=%&@$~!?;<>|^-]*")
"""Texts of these characters need no escape."""
CONTROL = r"\x00-\x1f\x7f-\x9f\u2028\u2029"


def dumps(document: Values) -> str:
    """Values first, then tables and lists of tables. `UserError` for a text that the trainer would misread."""
    return "\n".join(_table(document, "")).strip("\n") + "\n"


def _table(table: Values, name: str) -> Iterator[str]:
    later = []
    for key, value in table.items():
        if isinstance(value, Mapping) or (isinstance(value, list) and value and isinstance(value[0], Mapping)):
            later.append((f"{name}.{key}" if name else key, value))
        else:
            yield f"{_key(key)} = {_value(value, key)}"
    for path, value in later:
        for part in value if isinstance(value, list) else [value]:
            yield ""
            yield f"[[{path}]]" if isinstance(value, list) else f"[{path}]"
            yield from _table(part, path)


def _key(key: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9_-]+", key):
        return key
    raise UserError("must be a key of letters, digits, _ and -", key=key)


def _value(value: object, key: str) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_value(part, key) for part in value)}]"
    if isinstance(value, str):
        return f'"{value}"' if PLAIN.fullmatch(value) else _spelled(value, key)
    raise UserError(f"a {type(value).__name__} cannot be written into a TOML file", key=key)


@lru_cache(maxsize=4096)
def _spelled(text: str, key: str) -> str:
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise UserError("contains half of a surrogate pair, which no file can hold", key=key)
    for spelling in _spellings(text):
        try:
            if toml.loads(f"k = {spelling}\nl = [{spelling}, {spelling}]\n") == {"k": text, "l": [text, text]}:
                return spelling
        except Exception:  # the reader's own bugs: IndexError and others
            continue
    raise UserError(f"the trainer's TOML reader cannot read {text!r:.80}", key=key, hint="use other characters")


def _spellings(text: str) -> Iterator[str]:
    yield _escaped(text, CONTROL)
    yield _escaped(text, CONTROL + r",#='\[\]{} ")
    if not re.search(f"['{CONTROL}]", text):
        yield f"'{text}'"


def _escaped(text: str, characters: str) -> str:
    def escape(match: re.Match[str]) -> str:
        return f"\\{match[0]}" if match[0] in '"\\' else f"\\u{ord(match[0]):04x}"

    return '"' + re.sub(rf'["\\{characters}]', escape, text) + '"'
