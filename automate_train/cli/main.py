"""argv -> one command -> an exit code.

Covers: which module runs, and what becomes of every error that it raises. Not: flags and printing (each command's own
module), the words for an error (`output`).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

from .. import __version__


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 0 done, 1 a run failed, 2 the user's files, flags or environment, 3 our bug, 130 interrupted."""
    argv = sys.argv[1:] if argv is None else argv
    try:
        if list(argv) in (["--version"], ["-V"]):
            print(f"automate-train {__version__}", flush=True)
            return 0
        return _command(argv)
    except KeyboardInterrupt:  # before or after `output` takes care of it
        return 130
    except OSError as error:  # --version into a full disk
        return 2 if error.errno else 0


def _command(argv: Sequence[str]) -> int:
    from . import COMMANDS, output  # 8 ms, which --version need not wait for

    output.open_streams(as_json="--json" in argv)
    named = bool(argv) and argv[0] in COMMANDS
    try:
        command = import_module(f".{argv[0] if named else 'run'}", __package__)
        return int(command.main(argv[1:] if named else argv))
    except (Exception, KeyboardInterrupt) as error:
        return output.failed(error)
