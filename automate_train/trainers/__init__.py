"""One module or package a trainer, found by its name: it holds what `protocol.Trainer` lists.

`command` is the smallest trainer, the one to copy; `sd_scripts` is kohya-ss/sd-scripts and its forks; `tiny` is a small
real trainer with sd-scripts' command line, which `sd_scripts` starts where `repo_dir` is `tiny`. For all of them:
`launch_parts` (what each launch holds), `failure_causes` (why a run failed), `script_options` (a script's options).
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import cast

from ..errors import UserError, nearest
from ..records import Event, RunRecord
from ..store.events import read_events
from ..store.layout import AttemptFolder
from .protocol import Trainer

__all__ = ["Trainer", "events_of", "load"]


def load(name: object) -> Trainer:
    """The trainer called `name` (`sd-scripts` is the module `sd_scripts`); `UserError` when there is none."""
    return _load(str(name))


@cache
def _load(name: str) -> Trainer:
    modules = {path.stem for path in Path(__file__).parent.iterdir() if not path.name.startswith(("_", "."))}
    module = name.replace("-", "_")
    if module in modules and hasattr(found := _module(module), "prepare"):
        return cast(Trainer, found)
    known = sorted(name.replace("_", "-") for name in modules if hasattr(_module(name), "prepare"))
    hint = nearest(name, known) or f"allowed: {', '.join(known)}"
    raise UserError(f"there is no trainer {name!r}", key="trainer", hint=hint)


def _module(name: str) -> object:
    return importlib.import_module(f"{__name__}.{name}")


def events_of(record: RunRecord, attempt: AttemptFolder, cursor: int) -> tuple[Sequence[Event], int]:
    """What an attempt of a run has written since `cursor`; where its trainer no longer exists, the hook's events."""
    try:
        trainer = load(record.trainer)
    except UserError:
        return read_events(attempt, cursor)
    return trainer.events(attempt, cursor)
