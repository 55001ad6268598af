"""events.jsonl, written: one line of JSON for each thing that happens in a training.

Covers: whole lines (one write each, so that a reader never finds two mixed), strict JSON (no NaN), a full disk.
Not: what is worth a line (`hook_patches`, `hook_metrics`, `hook_live_trackers`, `run`), reading the lines
(`automate_train/store`).
"""

from __future__ import annotations

import json
import math
import os
import sys
import time

LONGEST_TEXT = 2000


class Events:
    """`file` None: nothing is written (another process of this run writes, or the script was started by hand)."""

    def __init__(self, file: str | None) -> None:
        self.pid = os.getpid()
        self.file = file
        self.descriptor = -1
        self.torn = False
        """Whether the file may end within a line: the next event must not be glued to it."""
        self.warned = False
        self.troubles: set[str] = set()
        if file is not None:
            try:
                flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
                self.descriptor = os.open(file, flags, 0o644)
            except OSError as error:
                self._warn(error)

    def write(self, kind: str, **fields: object) -> None:
        """Never raises: an event that cannot be written is lost, and the training goes on."""
        if self.descriptor < 0 or os.getpid() != self.pid:  # a forked child writes nothing
            return
        try:
            known = {key: plain(value) for key, value in fields.items()}
            line = json.dumps({"at": round(time.time(), 3), "kind": kind, **known}, allow_nan=False) + "\n"
            data = (b"\n" if self.torn else b"") + line.encode()
            self.torn = True
            self.torn = os.write(self.descriptor, data) != len(data)
        except Exception as error:  # no space left; a value whose text cannot be made
            self._warn(error)

    def trouble(self, where: str, error: BaseException) -> None:
        """A fault of the hook itself; once for each kind, because a fault in every step would fill the disk."""
        kind = f"{where}: {type(error).__name__}"
        if kind not in self.troubles:
            self.troubles.add(kind)
            self.write("trouble", where=where, error=describe(error))

    def _warn(self, error: Exception) -> None:
        if not self.warned:
            self.warned = True
            print(f"automate-train: events are lost: {self.file}: {error}", file=sys.stderr)


def describe(error: BaseException) -> str:
    """`ValueError: its message`, at most LONGEST_TEXT characters; without a message, where it was raised."""
    try:
        text = str(error) or f"no message, raised {_where(error)}"
        return f"{type(error).__name__}: {text}"[:LONGEST_TEXT]
    except Exception:
        return type(error).__name__


def _where(error: BaseException) -> str:
    frame, place = error.__traceback__, "nowhere"
    while frame is not None:
        code = frame.tb_frame.f_code
        place = f"in {code.co_name} ({os.path.basename(code.co_filename)}:{frame.tb_lineno})"
        frame = frame.tb_next
    return place


def plain(value: object) -> object:
    """The value in JSON's types: NaN and infinities become null, objects their text."""
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, str):
        return value[:LONGEST_TEXT]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return str(value)[:LONGEST_TEXT]
