"""Every problem that can be known before anything starts, at once.

Covers: asking the trainers about every distinct value, and what belongs to the sweep as a whole: devices, disk, the
lock.
Not: what a particular trainer needs (`trainers/*`), printing (`plan`), refusing (`cli`). Nothing is created on disk.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..config.keys import on, unset
from ..errors import Problem, UserError
from ..machine import lock
from ..records import Run, SweepContext
from ..store.layout import SweepFolder
from ..sweep.product import Sweep
from ..trainers import load

if TYPE_CHECKING:
    from ..machine.gpus import Gpu

EVERY_RUN = 512
"""Sweeps up to this size are asked run by run; larger ones so that every value of every axis is seen once."""


def check(sweep: Sweep, runs: Iterable[Run], context: SweepContext) -> list[Problem]:
    """What the runs' trainers and the machine's disks say; each problem once, errors first."""
    found: dict[Problem, None] = {}
    total, asked = 0, list(_examples(sweep, runs))
    need: dict[str, int] = {}
    for run in asked:
        total += 1
        try:
            trainer = load(_value(run, "trainer"))
            found.update(dict.fromkeys(trainer.problems(run, context)))
        except UserError as error:
            found[error.problem] = None
            continue
        target = _value(run, "target_path")
        size = getattr(trainer, "disk_bytes", lambda run: (0, 0))(run)
        need[context.temp_dir] = need.get(context.temp_dir, 0) + size[0]
        if not unset(target):
            need[str(target)] = need.get(str(target), 0) + size[1]
    if not total:
        return []
    share = max(1.0, sweep.size / total) if _is_large(sweep) else 1.0
    found.update(dict.fromkeys(_disk({path: int(size * share) for path, size in need.items()})))
    folder = SweepFolder(context.temp_dir, context.project)
    if lock.is_held(folder.lock):
        found[lock.refusal(folder.lock).problem] = None
    return sorted(found, key=lambda problem: problem.severity != "error")


def _is_large(sweep: Sweep) -> bool:
    return sweep.size > EVERY_RUN


def _examples(sweep: Sweep, runs: Iterable[Run]) -> Iterable[Run]:
    """Every run of a small sweep; of a large one as many as it takes to see every value."""
    return sweep.covering() if _is_large(sweep) else runs


def check_devices(
    sweep: Sweep,
    runs: Iterable[Run],
    gpus: list[Gpu],
    pool: tuple[str, ...],
    visible: str | None,
    context: SweepContext,
) -> Iterator[Problem]:
    """Devices that runs name exist, and no run asks for more than are listed."""
    if context.cpu:
        return
    from ..machine.gpus import parse_devices

    for gpu in gpus:
        if gpu.lost and gpu.id in pool:
            text = "is lost: it is skipped, and used again when it comes back"
            yield Problem("warning", f"GPU {gpu.index}", "", text)
    seen: set[tuple[str, str]] = set()
    for run in _examples(sweep, runs):
        option = run.options.get("cuda_device")
        asked = "" if option is None or unset(option.value) else str(option.value)
        source = str(option.source) if option else "built-in"
        if (asked, source) in seen:
            continue
        seen.add((asked, source))
        count = len([part for part in asked.split(",") if part.strip()])
        if pool and count > len(pool):
            listed = f"--cuda_devices_distributed lists {len(pool)}"
            yield Problem(
                "error", source, "cuda_device", f"a run asks for {count} devices, {listed}", "list more devices"
            )
        elif not pool:
            try:
                parse_devices(asked or "0", gpus, visible)
            except UserError as error:
                yield Problem("error", source, "cuda_device", error.problem.message, error.problem.hint)


def check_webuis(sweep: Sweep, runs: Iterable[Run]) -> list[Problem]:
    """What is wrong with the image servers and the prompts of runs that are sampled there; a few seconds at most."""
    options = [run.options for run in _examples(sweep, runs)]
    if not any("use_external_webui" in each and on(each["use_external_webui"].value) for each in options):
        return []
    from .. import sampling

    return list(sampling.preflight(options, {}))


def _disk(need: dict[str, int]) -> Iterator[Problem]:
    """Folders that cannot be written to, disks without room for the estimated checkpoints."""
    per_disk: dict[int, tuple[str, int]] = {}
    for path, size in need.items():
        key = "temp_dir" if path == next(iter(need)) else "target_path"
        try:
            os.lstat(path)
        except FileNotFoundError:
            pass
        except OSError as error:
            yield Problem("error", path[:200], key, f"cannot be used: {error.strerror}", "choose another folder")
            continue
        there = _nearest_existing(Path(path))
        if not there.is_dir():
            yield Problem("error", path, key, f"{there} is no folder", "name a folder, or one that can be made")
        elif not os.access(there, os.W_OK | os.X_OK):
            yield Problem("error", path, key, f"{there} is not writable", "choose another folder")
        else:
            first, sum_ = per_disk.get(there.stat().st_dev, (path, 0))
            per_disk[there.stat().st_dev] = (first, sum_ + size)
    for path, size in per_disk.values():
        disk = os.statvfs(_nearest_existing(Path(path)))
        free = disk.f_bavail * disk.f_frsize
        if size > free:
            text = f"about {size / 1e9:.1f} GB of checkpoints are to come, {free / 1e9:.1f} GB are free"
            yield Problem("error", path, "", text, "free some room, or raise save_every_n_epochs")


def _nearest_existing(path: Path) -> Path:
    path = path.absolute()
    while not os.path.exists(path) and path != path.parent:
        path = path.parent
    return path


def _value(run: Run, key: str) -> object:
    option = run.options.get(key)
    return option.value if option else None
