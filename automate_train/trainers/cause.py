"""A cause of a run's failure, as the tables hold it.

Covers: its words and what follows from it. Not: which causes there are (`failure_causes`, `job_causes`).
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Cause(NamedTuple):
    name: str
    sentence: str
    advice: str
    pattern: str = ""
    """Matches a line of the console that shows it, in upper and lower case."""
    sample: str = ""
    """Such a line: a test finds this cause in it and no other."""
    passes_by_itself: bool = False
    """The same command may succeed a moment later."""
    from_outside: bool = False
    """The training itself was right: it may go on from what it saved last."""

    def matches(self, line: str) -> bool:
        """Compiled only here: all patterns together take 2 ms, and no first start waits for them."""
        return re.search(self.pattern, line, re.IGNORECASE) is not None

    def text(self, line: str = "") -> str:
        """The sentence, the advice, and the console's line that shows the cause."""
        text = f"{self.sentence}: {self.advice}"
        return f"{text} ({short(line)})" if line else text


def short(line: str) -> str:
    return line.strip()[:300]
