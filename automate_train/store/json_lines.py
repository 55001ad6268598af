"""Files with one JSON object a line, to which several processes append and which anybody may have changed.

Covers: reading what can be read, adding a line. Not: what the lines mean (`scores`, `votes`).
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .events import MAX_LINE
from .files import open_regular

LARGEST = 1 << 30
"""Bytes of a file that are read at most: a million scores take a quarter of it."""


def read_lines(file: Path) -> Iterator[Mapping[str, Any]]:
    """The objects in a file, those that are none skipped. A line that was cut off is no JSON object."""
    try:
        with open_regular(file) as opened:
            data = opened.read(LARGEST)
    except OSError:
        return
    for line in data.split(b"\n"):
        if not line or len(line) > MAX_LINE:
            continue
        try:
            fields = json.loads(line)
            json.dumps(fields, ensure_ascii=False).encode()  # half of a surrogate pair: no file could hold it
        except (ValueError, RecursionError):
            continue
        if isinstance(fields, dict):
            yield fields


def append_line(file: Path, fields: Mapping[str, Any]) -> None:
    """One line by one write, so that whoever reads or is killed meanwhile sees whole lines. `OSError`: a full disk."""
    line = json.dumps(fields, ensure_ascii=False, allow_nan=False).encode("utf-8", "surrogatepass") + b"\n"
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    fd = os.open(file, flags, 0o666)
    try:
        size = os.fstat(fd).st_size
        if size and os.pread(fd, 1, size - 1) != b"\n":  # a disk was full half-way through a line
            line = b"\n" + line
        if os.write(fd, line) != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(file))
    finally:
        os.close(fd)
