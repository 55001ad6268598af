"""Where attempts run: one module an executor, found by its name; its class does what `protocol.Executor` lists.

`local` is this machine; `slurm` a cluster, with `slurm_*` for its script, options, commands, queue and folders.
"""

from __future__ import annotations

import importlib
from typing import cast

from ..errors import UserError
from ..store.layout import SweepFolder
from ..store.sweep_file import read_sweep
from .protocol import Executor

NAMES = ("local", "slurm")

__all__ = ["NAMES", "Executor", "load", "of_sweep", "refuse_another"]


def load(name: str) -> Executor:
    """A new executor of this name, one of `NAMES`."""
    return cast(Executor, getattr(importlib.import_module(f"{__name__}.{name}"), name.capitalize())())


def refuse_another(sweep: SweepFolder, name: str) -> None:
    """`UserError` when the sweep has runs that live by another executor than the one called `name`, which could not
    find them and would start them again."""
    former = read_sweep(sweep).get("executor", name)
    if former in NAMES and former != name and (living := load(former).living(sweep.path)):
        text = f"{len(living)} of its runs still run by --executor {former}"
        hint = f"go on with that, or end them: automate-train stop {sweep.path} --now"
        raise UserError(text, source=str(sweep.path), key="executor", hint=hint)


def of_sweep(sweep: SweepFolder) -> Executor:
    """The one by which a sweep was last run."""
    name = read_sweep(sweep).get("executor")
    return load(name if name in NAMES else "local")
