"""What a user did wrong, and how it is said.

Covers: `UserError` (exit 2), `RunError` (exit 1), `Problem` (one finding of the preflight), the sentence's shape.
Not: printing and exiting (`cli`); anything that is neither of the two errors is our own bug (exit 3).
"""

from __future__ import annotations

import re
import shlex
import sys
from typing import Literal, NamedTuple

Severity = Literal["error", "warning"]

CONTROL = (
    r"\x1b[\]PX^_][^\x07\x1b]*(\x07|\x1b\\)?|\x1b\[[0-?]*[ -/]*[@-~]|\x1b[ -/]*[0-~]"
    r"|[\x00-\x08\x0a-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]"
)


class Problem(NamedTuple):
    """One finding: where it comes from, which key, what is wrong and what is allowed, what to type next."""

    severity: Severity
    source: str
    """Where the value was written: `tuning file t.json`, `--set`, `built-in`, or the thing itself (`GPU 3`)."""
    key: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        where = ": ".join(part for part in (self.source, self.key) if part)
        text = f"{where}: {self.message}" if where else self.message
        return f"{text} ({self.hint})" if self.hint else text


class UserError(Exception):
    """The user's files, flags or environment are wrong: one sentence, no traceback, exit code 2."""

    def __init__(self, message: str, *, source: str = "", key: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.problem = Problem("error", source, key, message, hint)

    def __str__(self) -> str:
        return str(self.problem)


class RunError(Exception):
    """A run could not be started or went wrong for a reason of its own: it fails, the sweep's policy decides the
    rest."""


def nearest(word: str, known: object, count: int = 3) -> str:
    """`did you mean a, b?` or an empty string; `known` is any iterable of names."""
    import difflib  # only on the way to an error

    names = [str(name) for name in known]  # type: ignore[attr-defined]
    found = difflib.get_close_matches(word, names, n=count, cutoff=0.6)
    if len(word) > 2:  # one letter is a part of nearly every name
        found += [name for name in names if word in name and name not in found][: count - len(found)]
    return f"did you mean {', '.join(found)}?" if found else ""


def printable(text: str) -> str:
    """A program's text without what would steer a terminal: escape sequences, titles, cursor moves, other direction."""
    return re.sub(CONTROL, "", text)


def pip_install(*packages: str) -> str:
    """What installs them where automate-train is: our extras have no name in a package index."""
    return f"{shlex.quote(sys.executable)} -m pip install {' '.join(packages)}"
