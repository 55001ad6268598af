"""Room on the disks: folders that cannot be written to, and less free space than the checkpoints will take.

Covers: temp_dir and target_path. Not: how much a run saves (`trainers/*` estimate it).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..config.keys import unset
from ..errors import Problem, UserError
from ..records import Run, SweepContext
from ..trainers import load


def problems(runs: Sequence[Run], context: SweepContext, share: float) -> Iterator[Problem]:
    """`share`: how many runs of the sweep each of `runs` stands for."""
    needed: dict[int, tuple[str, float]] = {}
    for (key, path), size in _estimates(runs, context).items():
        try:
            os.lstat(path)
        except FileNotFoundError:
            pass
        except OSError as error:
            yield Problem("error", path[:200], key, f"cannot be used: {error.strerror}", "choose another folder")
            continue
        folder = _nearest_existing(Path(path))
        if not folder.is_dir():
            yield Problem("error", path, key, f"{folder} is not a folder", "name a folder, or one that can be made")
        elif not os.access(folder, os.W_OK | os.X_OK):
            yield Problem("error", path, key, f"{folder} is not writable", "choose another folder")
        else:
            first, sum_ = needed.get(folder.stat().st_dev, (path, 0.0))
            needed[folder.stat().st_dev] = (first, sum_ + size * share)
    for path, total in needed.values():
        disk = os.statvfs(_nearest_existing(Path(path)))
        free = disk.f_bavail * disk.f_frsize
        if total > free:
            text = f"the checkpoints will take about {total / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free"
            yield Problem("error", path, "", text, "free some room, or raise save_every_n_epochs")


def _estimates(runs: Sequence[Run], context: SweepContext) -> dict[tuple[str, str], int]:
    """(key, folder) -> the bytes that the runs will write there."""
    sizes = {("temp_dir", context.temp_dir): 0}
    for run in runs:
        try:
            trainer = load(run.options["trainer"].value)
        except UserError:  # `checks` says so
            continue
        in_temp, in_target = trainer.disk_bytes(run, context)
        sizes["temp_dir", context.temp_dir] += in_temp
        target = run.options.get("target_path")
        if target is not None and not unset(target.value):
            place = ("target_path", str(target.value))
            sizes[place] = sizes.get(place, 0) + in_target
    return sizes


def _nearest_existing(path: Path) -> Path:
    path = path.absolute()
    while not os.path.exists(path) and path != path.parent:
        path = path.parent
    return path
