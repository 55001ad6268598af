"""The pictures that no run of this sweep may see: a choice that is kept, a new one, or why there can be none.

Covers: what `held_out` asks for, what an earlier start of the sweep has chosen and trained, writing the choice. Not:
how pictures are chosen (`sweep.held_out`), which of them a run trains on (`trainers`).
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ..config.values import number, text_of, unset
from ..errors import Problem, UserError
from ..records import PictureFolder, RunRecord, Setting, SweepContext
from ..store.held_out import HeldOut, read_held_out, write_held_out
from ..store.layout import SweepFolder
from ..sweep.product import Sweep
from ..trainers import load
from ..trainers.picture_tree import CAPTIONS, picture_folders

KEY = "held_out"
OFF = (
    "held_out is off: every picture is trained on, so no setting can be measured on pictures that its run has not seen "
    '("held_out": 4 keeps four from all runs, 0.1 a tenth)'
)


class Found(NamedTuple):
    held_out: HeldOut | None = None
    problems: tuple[Problem, ...] = ()

    @property
    def paths(self) -> frozenset[str]:
        return frozenset(each.path for each in self.held_out.pictures) if self.held_out else frozenset()

    @property
    def lines(self) -> tuple[str, ...]:
        """What the plan says; nothing where it is wrong."""
        return () if self.held_out is None and self.problems else (sentence(self.held_out),)


def _was_trained(records: Iterable[RunRecord]) -> bool:
    """Whether a run has trained, or may have: then what it has not seen is decided."""
    attempts = (attempt for record in records for attempt in record.attempts)
    return any(each.outcome is None or each.outcome.kind != "failed" or each.metrics.get("steps") for each in attempts)


def find(sweep: Sweep, settings: Mapping[str, Setting], context: SweepContext, records: Iterable[RunRecord]) -> Found:
    """`records`: the runs that the store knows. Nothing is written."""
    setting = settings.get(KEY)
    folder = SweepFolder(context.temp_dir, context.project)
    known = read_held_out(folder)
    try:
        request = _request(setting)
        if _was_trained(records):
            _refuse_other(request, known, folder)
        if request is None:
            return Found()
        _refuse_without_libraries()
        folders, found = _training_folders(sweep, context)
        if not any(each.captions for each in folders) and not found:
            raise UserError("the runs have no pictures that could be held out", key=KEY)
        if found:
            return Found(None, tuple(found))
        from ..sweep import held_out as choice  # numpy and Pillow: 150 ms, which only sweeps with held_out wait for

        if known is not None and known.request == request:
            held_out, said = choice.still(known, folders)
            return Found(held_out, tuple(Problem("warning", str(folder.held_out), "", each) for each in said))
        if isinstance(request, str):
            return Found(choice.choose_others(request, _others(request, sweep), folders))
        return Found(choice.choose(request, folders))
    except UserError as error:
        return Found(None, (_at(error.problem, setting),))


def keep(folder: SweepFolder, held_out: HeldOut | None, records: Iterable[RunRecord]) -> None:
    """Write the choice, under the sweep's lock. `records`: as they are now: another command may have trained runs since
    `find`, and then the choice cannot be another one any more."""
    known = read_held_out(folder)
    if known == held_out:
        return
    if (known and known.digest) != (held_out and held_out.digest) and _was_trained(records):
        text = "another command has trained runs of this sweep meanwhile, with other pictures held out"
        raise UserError(text, source=str(folder.path), key=KEY, hint="give the same value, and start again")
    if held_out is None:
        folder.held_out.unlink(missing_ok=True)
    else:
        write_held_out(folder, held_out)


def sentence(held_out: HeldOut | None) -> str:
    """The plan's line about it."""
    if held_out is None:
        return OFF
    chosen = len(held_out.chosen)
    copies = len(held_out.pictures) - chosen
    if isinstance(held_out.request, str):
        left_out = f"; of {held_out.of} training pictures {copies} are near-duplicates of them and left out"
        return f"held out: the {chosen} pictures of {held_out.request}{left_out if copies else ''}"
    also = f" and {copies} near-duplicate{'s' if copies > 1 else ''} of them" if copies else ""
    return f"held out: {chosen} of {held_out.of} pictures{also}, which no run sees"


def _request(setting: Setting | None) -> int | float | str | None:
    """A number of pictures, a share, a folder's absolute path; None where it is off."""
    if setting is None or unset(setting.value):
        return None
    value, amount = setting.value, number(setting.value)
    if amount is None and isinstance(value, str):
        return os.path.abspath(os.path.expanduser(value))
    if amount is None or amount <= 0 or (amount > 1 and amount != int(amount)):
        example = "needs a number of pictures like 4, a share like 0.1, or a folder of other pictures"
        raise UserError(f"{example}, not {text_of(value):.60}", key=KEY, hint="null switches it off")
    return int(amount) if amount >= 1 else float(amount)


def _refuse_other(request: int | float | str | None, known: HeldOut | None, folder: SweepFolder) -> None:
    """Runs of this sweep have been trained: what they have not seen is decided."""
    if request == (known.request if known else None):
        return
    if known is None and folder.held_out.exists():
        text, hint = "cannot be read: it says what the trained runs have not seen", "restore the file"
        raise UserError(text, source=str(folder.held_out), key=KEY, hint=hint)
    if known is None:
        text = "runs of this sweep have been trained, and no held_out.json says what they have not seen"
        raise UserError(text, key=KEY, hint="give the sweep another project_name_base, or set held_out to null")
    text = (
        f"runs of this sweep have been trained with {KEY} {known.request}, and its pictures are chosen for all of them"
    )
    raise UserError(text, key=KEY, hint=f"set it to {known.request} again, or give the sweep another project_name_base")


def _refuse_without_libraries() -> None:
    missing = [name for module, name in (("numpy", "numpy"), ("PIL", "Pillow")) if not importlib.util.find_spec(module)]
    if missing:
        text = f"needs {' and '.join(missing)}, by which near-duplicates are found"
        raise UserError(text, key=KEY, hint=f"pip install {' '.join(missing)}")


def _training_folders(sweep: Sweep, context: SweepContext) -> tuple[list[PictureFolder], list[Problem]]:
    """What the sweep's runs train on, as far as every value of every axis shows it; why that is not known."""
    folders: dict[tuple[str, bool], PictureFolder] = {}
    found: dict[Problem, None] = {}
    for run in sweep.covering():
        try:
            for each in load(run.options["trainer"].value).training_pictures(run, context):
                folders.setdefault((each.path, each.regular), each)
        except UserError as error:
            found[_at(error.problem, run.options.get(KEY))] = None
    return list(folders.values()), list(found)


def _others(path: str, sweep: Sweep) -> list[PictureFolder]:
    if not os.path.isdir(path):
        raise UserError(f"there is no folder {path}", key=KEY, hint="give a number, a share or a folder of pictures")
    options = next((run.options for run in sweep.covering()), {})
    extension = options.get("caption_extension")
    own = () if extension is None or unset(extension.value) else (str(extension.value),)
    folders = list(picture_folders(path, (*own, *CAPTIONS)))
    if not folders:
        raise UserError(f"{path} contains no pictures", key=KEY, hint="give a number, a share or a folder of pictures")
    return folders


def _at(problem: Problem, setting: Setting | None) -> Problem:
    """With the place where `held_out` is written, where that is what is wrong."""
    at_key = problem.key == KEY and not problem.source and setting is not None
    return problem._replace(source=str(setting.source), key=setting.written) if at_key and setting else problem
