"""The trainer's progress bar, read from its console: for runs without the hook.

Covers: the pieces of tqdm's bar that sd-scripts names `steps:`. Not: other bars that look the same (`validation
steps:`, caching, captions), and finding the console (`folder`).
"""

from __future__ import annotations

import re

BAR = re.compile(r"steps:\s+\d+%\|[^|]*\|\s*(\d+)/(\d+) \[([^\]]*)\]")
LOSS = re.compile(r"avr_loss=(nan|-?inf|[0-9.e+-]+)")


def progress(text: str) -> tuple[int, int, float | None] | None:
    """(step, all steps, average loss) of the last bar in a piece of console; None when it holds none. A step's bar is
    drawn twice, first with the loss of the step before; a bar that is cut off does not count."""
    found = None
    for piece in re.split(r"[\r\n]", text):
        if match := BAR.match(piece):
            found = match
    if found is None:
        return None
    loss = LOSS.search(found[3])
    return int(found[1]), int(found[2]), float(loss[1]) if loss else None
