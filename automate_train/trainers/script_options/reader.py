"""`accepted`: the options of a script, read once while none of its files changes.

Covers: remembering scripts that were read, the errors when nothing is found. Not: the reading itself (`parser_walk`),
which script trains (`sd_scripts/script`).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ...errors import UserError
from .argument import Argument
from .parser_walk import ParserWalk

_read: dict[Path, tuple[dict[Path, int], dict[str, Argument]]] = {}
"""Script -> the modification times of all files that were read, and the options that were found."""


def accepted(script: Path) -> dict[str, Argument]:
    """What the script's argparse parser accepts, in the order of its `--help`.

    `UserError` when the script or a module that it needs is missing, is not Python, or builds no parser that can be
    read.
    """
    script = Path(script).absolute()
    times, found = _read.get(script, ({}, {}))
    if not times or times != _times(times):
        found, files = read(script)
        _read[script] = (_times(files), found)
    return dict(found)


def _times(files: Iterable[Path]) -> dict[Path, int]:
    try:
        return {path: path.stat().st_mtime_ns for path in files}
    except OSError:
        return {}


def read(script: Path) -> tuple[dict[str, Argument], list[Path]]:
    """The script's arguments in the source's order, and the files that were read; `UserError` when there are none."""
    source = str(script)
    try:
        walk = ParserWalk(script.resolve().parent)  # where Python looks first, also when the script is a link
        module = walk.modules.load(script, ("__main__",))
        arguments = walk.from_setup(module) or walk.from_anywhere(module)
    except RecursionError:
        raise UserError("is nested too deeply to be read", source=source) from None
    except (OSError, ValueError, RuntimeError) as error:  # a name too long, NUL, a circle of links
        raise UserError(f"cannot be read: {error}", source=source) from None
    if not arguments and walk.modules.circle:
        path, name = walk.modules.circle
        raise UserError(f"{path.name} and one of its modules import {name} from each other", source=source)
    if not arguments:
        hint = "it must be a script that is started from the command line, like train_network.py"
        raise UserError("has no argparse parser whose options can be read", source=source, hint=hint)
    return arguments, walk.modules.forget()
