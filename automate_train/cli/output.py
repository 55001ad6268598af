"""What the command line prints besides a command's own lines: errors and their exit codes.

Covers: streams that are closed or have a narrow encoding, one sentence an error, the traceback of a bug in a file.
Not: the sentences themselves (`errors`, and the code that raises them).
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys

from ..errors import RunError, UserError


def open_streams(as_json: bool) -> None:
    """Closed streams (`>&-`) take nothing, and what a terminal's encoding lacks is shown by its number."""
    for fd, name in enumerate(("stdin", "stdout", "stderr")):
        stream = getattr(sys, name)
        if stream is None:
            mode = "w" if fd else "r"
            # The lowest free number is the closed one: a journal opened under it would get what others print.
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))
        elif fd and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace", **({"encoding": "utf-8"} if as_json and fd == 1 else {}))


def failed(error: BaseException) -> int:
    """Print what went wrong as one sentence; the exit code that goes with it."""
    if isinstance(error, (UserError, RunError)):
        return _say(str(error), 2 if isinstance(error, UserError) else 1)
    if isinstance(error, KeyboardInterrupt):
        return _say("interrupted", 130)
    if isinstance(error, BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # `| head` closed our output: nothing is left to say
        return 0
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return _say("too many files are open; allow more (ulimit -n 4096), then the same command goes on", 2)
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return _say(f"{where}{error.strerror or error} (is the disk full, the folder gone?)", 2)
    if isinstance(error, UnicodeEncodeError):
        return _say(f"this system's encoding lacks {error.object[error.start : error.end]!a} (set PYTHONUTF8=1)", 2)
    if text := _of_sqlite(error):
        return _say(text, 2)
    return _say(f"this is a bug of automate-train: {error!r}; details are in {_keep_traceback(error)}", 3)


def _of_sqlite(error: BaseException) -> str:
    """What to say of an error of SQLite, "" of any other; without importing it, which most commands never need."""
    sqlite = sys.modules.get("sqlite3")
    if sqlite is None or not isinstance(error, sqlite.DatabaseError):
        return ""
    if isinstance(error, sqlite.OperationalError):
        hint = "free some room, or end the program that locks it; then the same command goes on"
        return f"the sweep's journal cannot be written: {error} ({hint})"
    return f"the sweep's journal cannot be read: {error} (the sweep's own command repairs it)"


def _say(text: str, code: int) -> int:
    # A lone surrogate from a file name must not turn an error into a traceback.
    with contextlib.suppress(OSError, ValueError):
        print(f"automate-train: {text}".encode(errors="backslashreplace").decode(), file=sys.stderr)
    return code


def _keep_traceback(error: BaseException) -> str:
    import tempfile  # 8 ms, which --help need not wait for
    import traceback

    with tempfile.NamedTemporaryFile("w", prefix="automate-train-bug-", suffix=".txt", delete=False) as file:
        traceback.print_exception(error, file=file)
    return file.name
