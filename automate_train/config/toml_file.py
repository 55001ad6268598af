"""TOML as sd-scripts reads its --config_file: sections are flattened, whole numbers and floats may be mixed.

Covers: text -> values, every error with the file's name. Not: JSON (`jsonc`), what the values mean (`layers`).
"""

from __future__ import annotations

import re
from typing import Any

import toml

from ..errors import UserError
from .jsonc import DEPTH, Number, fail

PIECES = re.compile(
    r"""\"{3}(?:\\.|.)*?(?:\"{3}|\Z)|'{3}.*?(?:'{3}|\Z)|"(?:\\.|[^"\\\n])*"?|'[^'\n]*'?|\#[^\n]*|[\[\]{}]""", re.DOTALL
)
"""Texts, comments and brackets; what is never closed reaches to the end."""


class _Decoder(toml.TomlDecoder):  # type: ignore[misc, name-defined, type-arg]
    """Floats remember their spelling; whole numbers and floats may be mixed in one list."""

    def load_value(self, v: str, strictly_legal: bool = True) -> Any:
        value, kind = super().load_value(v, strictly_legal)
        if kind == "float" and re.fullmatch(r"[+-]?[0-9.]+(e[+-]?[0-9]+)?", v, re.IGNORECASE):
            value = Number(v)
        return value, "number" if kind in ("int", "float") else kind


def parse_flat(text: str, where: str) -> dict[str, object]:
    """The keys of all sections in one object; of two sections with one key the last counts, as in sd-scripts."""
    found = parse(text, where)
    flat: dict[str, object] = {}
    for key, value in found.items():
        flat |= value if isinstance(value, dict) else {key: value}
    for key in (*found, *flat):
        if "\\" in key:  # the package does not read it as TOML says, and neither would sd-scripts
            raise UserError(
                f"the key {key} has an escape in its name", source=where, hint="write it without a backslash"
            )
    return flat


def parse(text: str, where: str) -> dict[str, object]:
    depth = 0
    for match in PIECES.finditer(text):  # before the package takes minutes over it
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(match[0], 0)
        if depth > DEPTH:
            fail(text, where, match.start(), f"is nested deeper than {DEPTH} levels")
    try:
        return dict(toml.loads(text, decoder=_Decoder()))
    except toml.TomlDecodeError as error:
        fail(text, where, min(error.pos, len(text)), error.msg)
    except RecursionError:
        raise UserError(f"is nested deeper than {DEPTH} levels", source=where) from None
    except Exception as error:  # the package raises IndexError, TypeError and others on broken files
        raise UserError(f"is not valid TOML ({type(error).__name__}: {error})", source=where) from None
