"""A command of this program as it works when it is typed into the shell from which this one was started.

Covers: which word starts the program there: it need not be on the PATH. Not: starting it ourselves
(`machine.child_process`).
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys

PROGRAM = "automate-train"


def shell_command(*words: str) -> str:
    return f"{_program()} {shlex.join(words)}"


def _program() -> str:
    started, on_path = sys.argv[0], shutil.which(PROGRAM)
    if os.path.basename(started) != PROGRAM:  # python -m automate_train
        return PROGRAM if on_path else f"{shlex.quote(sys.executable)} -m automate_train"
    if on_path and os.path.exists(started) and os.path.samefile(started, on_path):
        return PROGRAM
    return shlex.quote(started)
