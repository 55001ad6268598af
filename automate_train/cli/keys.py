"""`automate-train keys [WORD]`: what the keys of the two config files mean.

Covers: searching, and the listing as text. Not: the keys (`config/key_table`), the trainer's own options (`args`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from ..config.key import MOST, READERS, TYPES, Key
from ..config.key_table import KEYS
from ..errors import UserError, nearest
from .parser import Parser


def parser() -> Parser:
    made = Parser("keys", "What the keys of the config files mean. KEY_list of any of them makes an axis of the sweep.")
    made.add_argument("word", metavar="WORD", nargs="?", default="", help="only keys with this in a name or meaning")
    return made


def main(argv: Sequence[str]) -> int:
    word = parser().parse(argv).word
    found = [key for key in KEYS if word.lower() in f"{' '.join(names(key))} {key.meaning} {key.becomes}".lower()]
    if not found:
        hint = nearest(word, (name for key in KEYS for name in names(key)))
        raise UserError(
            f"no key has {word!r} in its name or meaning",
            hint=hint or f"the trainer's own options: automate-train args REPO_DIR {word}",
        )
    for line in listing(found):
        print(line)
    return 0


def listing(keys: Sequence[Key]) -> Iterator[str]:
    """The keys by who reads them, two lines each."""
    for reader, title in READERS.items():
        group = [key for key in keys if key.reader == reader]
        if group:
            yield f"{title}:"
        for key in group:
            yield f"  {', '.join(names(key))}   [{'; '.join(facts(key))}]"
            yield f"      {key.meaning}   Example: {json.dumps(key.example, ensure_ascii=False)}"


def names(key: Key) -> list[str]:
    """The name that people write first."""
    return [name for name in (key.alias, key.name, key.old_spelling) if name]


def facts(key: Key) -> Iterator[str]:
    """Type or choices, limits, default, and what else is to be known."""
    yield " or ".join(key.choices) if key.choices else TYPES[key.type]
    if key.range is not None:
        lowest, highest = key.range
        yield f"{lowest} or more" if highest == MOST else f"{lowest} to {highest}"
    if key.default is not None:
        yield f"default {json.dumps(key.default)}"
    if key.becomes:
        yield f"becomes {key.becomes}"
    if key.scope == "sweep":
        yield "one value for the whole sweep"
    if key.secret:
        yield "secret"
    if key.flag:
        yield f"also --{key.alias or key.name}"
