"""The options of a script as rows of text, for `automate-train args REPO [SCRIPT|search]`.

Covers: the rows and the search in them. Not: reading the script (`reader`), printing (`cli`).
"""

from __future__ import annotations

from .argument import Argument

HELP_LENGTH = 72
Row = tuple[str, str, str, str, str]


def rows(arguments: dict[str, Argument], search: str = "") -> list[Row]:
    """Rows of (name, type, default, choices, help's first words) in the source's order.

    With `search`: first the options whose name contains it (`lr` also finds learning_rate), then those whose help does;
    case, `-` and `_` make no difference.
    """
    wanted = _plain(search)
    named = [
        argument for argument in arguments.values() if wanted in _plain(argument.name) or wanted == _initials(argument)
    ]
    helped = [argument for argument in arguments.values() if wanted in _plain(argument.help) and argument not in named]
    return [_row(argument) for argument in (*named, *helped)]


def _plain(text: str) -> str:
    return text.strip().lstrip("-").lower().replace("-", "_")


def _initials(argument: Argument) -> str:
    return "".join(word[:1] for word in argument.name.lower().split("_"))


def _row(argument: Argument) -> Row:
    kind = f"list of {argument.type}" if argument.is_list else argument.type
    choices = ", ".join(_word(choice) for choice in argument.choices or () if choice is not None)
    return argument.name, kind, _word(argument.default), choices, _first_words(argument.help)


def _word(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, (list, tuple)):
        return " ".join(map(_word, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _first_words(text: str) -> str:
    """The first line, without the translation that upstream puts behind ` / `, cut between two words."""
    line = text.strip().partition("\n")[0].partition(" / ")[0].strip()
    if len(line) <= HELP_LENGTH:
        return line
    return line[:HELP_LENGTH].rpartition(" ")[0].rstrip(" ,;.(") + " ..."
