"""Files that others read while we write them, and files that anybody may have changed.

Covers: the atomic write, the first write, reading JSON that is not trusted, and telling which values in it can be used.
Not: what the files are called (`layout`) or mean.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO, TypeGuard

LATEST = 1e11
"""Seconds since 1970 that a calendar can show."""
LARGEST = 64 << 20
"""Bytes of a JSON file at most: ours are far smaller."""


def write(file: str | Path, data: str | bytes, *, durable: bool = False) -> None:
    """Write so that a reader sees the old content or the new one, never a part, whoever else writes the same file: a
    temporary file beside it, then a rename. `durable`: also after a power cut."""
    path = os.fspath(file)
    folder, name = os.path.split(path)
    temp = os.path.join(folder, f".{name}.half")  # always the same name: killed writers leave no heap
    descriptor = _open_alone(temp)
    try:
        os.truncate(descriptor, 0)
        _write_all(descriptor, data)
        if durable:
            os.fsync(descriptor)
        os.replace(temp, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            # Not after the rename, when Ctrl-C came just then: the file of that name is another writer's by now.
            if os.path.samestat(os.lstat(temp), os.fstat(descriptor)):
                os.unlink(temp)
        raise
    finally:
        os.close(descriptor)


def create(file: str | Path, data: str | bytes) -> None:
    """Write a file that nobody reads before it is whole: a reader must take a part for no file at all, as `read_json`
    does. `FileExistsError` when it exists. A rename less than `write`, which counts where each run needs it."""
    path = os.fspath(file)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        _write_all(descriptor, data)
    except BaseException:
        os.unlink(path)
        raise
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, data: str | bytes) -> None:
    rest = memoryview(data.encode() if isinstance(data, str) else data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _open_alone(temp: str) -> int:
    """A descriptor of the temporary file while no other writer has it open."""
    while True:
        descriptor = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError:
            return descriptor  # a file system without locks
        try:
            if os.path.samestat(os.fstat(descriptor), os.lstat(temp)):
                return descriptor
        except FileNotFoundError:
            pass
        os.close(descriptor)  # another writer has renamed it meanwhile


def open_regular(file: str | Path) -> BinaryIO:
    """Open for reading; `OSError` for what is not a regular file. A FIFO of this name would block us for ever."""
    opened = os.fdopen(os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    if stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
        return opened
    opened.close()
    raise OSError(f"{os.fspath(file)} is not a regular file")


def read_json(file: str | Path) -> dict[str, Any] | None:
    """A JSON object; None where there is no such file, or where it holds anything else or cannot be read."""
    try:
        with open_regular(file) as opened:
            data = opened.read(LARGEST + 1)
        found = json.loads(data) if len(data) <= LARGEST else None
        if b"\\u" in data:
            json.dumps(found, ensure_ascii=False).encode()  # half of a surrogate pair: no file of ours could hold it
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def is_count(value: object) -> TypeGuard[int]:
    """A whole number from 0 that SQLite can hold."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 62


def is_number(value: object) -> TypeGuard[int | float]:
    """A finite number; an integer that has a float."""
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 62


def is_text(value: object) -> TypeGuard[str]:
    return isinstance(value, str)


def finite(value: Any) -> Any:
    """A JSON value with null in place of numbers that JSON does not have: NaN and infinity."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: finite(each) for name, each in value.items()}
    return [finite(each) for each in value] if isinstance(value, (list, tuple)) else value
