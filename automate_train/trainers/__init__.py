"""One module a trainer, found by its name: `problems`, `prepare`, `events`, `verdict`.

Covers: finding the module; `command` is the sample to copy. Not: anything about a particular trainer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, cast

from ..errors import Problem, UserError, nearest

if TYPE_CHECKING:
    from ..records import Event, Launch, Outcome, Run, SweepContext
    from ..store.layout import AttemptFolder


class Trainer(Protocol):
    """What a trainer's module holds."""

    problems: Callable[[Run, SweepContext], list[Problem]]
    prepare: Callable[[Run, AttemptFolder, SweepContext], Launch]
    events: Callable[[AttemptFolder, int], tuple[list[Event], int]]
    """What a running attempt has told after an offset, and the offset to go on from."""
    verdict: Callable[[AttemptFolder, int], Outcome]


def load(name: Any) -> Trainer:
    """The trainer called `name` (`sd-scripts` is the module `sd_scripts`); `UserError` when there is none."""
    import importlib

    known = {"sd-scripts", "command"}
    module = str(name).replace("-", "_")
    if module.isidentifier() and not module.startswith("_"):
        try:
            found = importlib.import_module(f"{__name__}.{module}")
        except ModuleNotFoundError as error:
            if error.name != f"{__name__}.{module}":
                raise
        else:
            if hasattr(found, "prepare"):
                return cast(Trainer, found)
    raise UserError(
        f"there is no trainer {name!r}",
        key="trainer",
        hint=nearest(str(name), known) or f"allowed: {', '.join(sorted(known))}",
    )
