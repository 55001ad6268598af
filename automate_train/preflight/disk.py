"""Room on the disks: folders that cannot be written to, and less free space than the checkpoints will take.

Covers: temp_dir, target_path and output_dir. Not: how much a run saves (`trainers/*` estimate it).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..config.values import unset
from ..errors import Problem, UserError
from ..records import Run, SweepContext
from ..trainers import load

SIZED = 512
"""Runs that are asked for their size; of more, evenly spaced ones, each for those after it too."""


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
        elif reason := _unwritable(folder):
            yield Problem(
                "error", path, key, f"nothing can be written into {folder}: {reason}", "choose another folder"
            )
        else:
            first, sum_ = needed.get(folder.stat().st_dev, (path, 0.0))
            needed[folder.stat().st_dev] = (first, sum_ + size * share)
    for path, total in needed.values():
        disk = os.statvfs(_nearest_existing(Path(path)))
        free = disk.f_bavail * disk.f_frsize
        if total > free:
            unit, scale = ("GB", 1e9) if total >= 1e9 else ("MB", 1e6)
            text = f"the checkpoints will take about {total / scale:.1f} {unit}, and {free / scale:.1f} {unit} are free"
            yield Problem("error", path, "", text, "free some room, or raise save_every_n_epochs")


def _estimates(runs: Sequence[Run], context: SweepContext) -> dict[tuple[str, str], int]:
    """(key, folder) -> the bytes that the runs will write there."""
    sizes = {("temp_dir", context.temp_dir): 0}
    every = -(-len(runs) // SIZED)
    in_temp = in_target = 0
    for number, run in enumerate(runs):
        try:
            trainer = load(run.options["trainer"].value)
        except UserError:  # `checks` says so
            continue
        if number % every == 0:
            in_temp, in_target = trainer.disk_bytes(run, context)
        sizes["temp_dir", context.temp_dir] += in_temp
        for key in ("target_path", "output_dir"):  # the second is the trainer's own name for it
            setting = run.options.get(key)
            if setting is not None and not unset(setting.value):
                place = (key, os.path.expanduser(str(setting.value)))
                sizes[place] = sizes.get(place, 0) + in_target
                break
    return sizes


def _unwritable(folder: Path) -> str:
    """Why no file can be made in a folder; empty where one can. The file that is tried has no name, and no trace."""
    try:
        os.close(os.open(folder, os.O_TMPFILE | os.O_WRONLY, 0o600))
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL):
            return str(error.strerror)
        return "" if os.access(folder, os.W_OK | os.X_OK) else "permission denied"  # a disk without such files
    return ""


def _nearest_existing(path: Path) -> Path:
    path = path.absolute()
    while not os.path.exists(path) and path != path.parent:
        path = path.parent
    return path
