"""The next attempt of a run whose job Slurm has started again: begun on the node, where nobody may be watching.

`python -m automate_train.training.next_attempt`, in the folder of an attempt that the job has begun (the batch script,
`executors.slurm_script`, calls it). The process becomes the new attempt's shell. With `--can` nothing is begun: exit
code 0 says that another attempt would go on from a state that this one has saved.

Covers: whether there is to be another attempt, its preparation and its folder. A trainer that has ended by itself, or
has succeeded, is not started again; neither is one of which an orchestrator has begun a later attempt, in another job.
Not: entering it into the journal (`store.rebuild`, `loop`: they find its folder), from which state a trainer can go on
(`trainers`).
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from typing import Any

from ..config.key_sets import MASKED
from ..config.masking import masker_of
from ..errors import RunError, UserError
from ..executors.slurm_end import note_end
from ..executors.slurm_folders import has_ended_by_itself, job_told
from ..executors.slurm_script import become
from ..records import Launch, Run, RunRecord, Setting, Source, SweepContext
from ..store.files import read_json
from ..store.launch import read_launch, read_resume, write_attempt
from ..store.layout import AttemptFolder
from ..trainers import load
from . import latents_cache


def kept(run: Run, context: SweepContext) -> str:
    """What another process needs to prepare the run again: its options, without secrets, and the context."""
    masker = masker_of({key: setting.value for key, setting in run.options.items()})
    settings = {
        key: [masker.value(setting.value), setting.source.label, setting.source.path, setting.written]
        for key, setting in run.options.items()
        if key not in MASKED
    }
    known = {**context._asdict(), "held_out": sorted(context.held_out)}
    return json.dumps({"context": known, "settings": settings}, ensure_ascii=False, default=str) + "\n"


class KeptRun:
    """A run's sweep, as far as it is needed for this one run: `records.RunSource`."""

    def __init__(self, record: RunRecord, settings: Mapping[str, Setting]) -> None:
        self.record, self.settings = record, settings
        self.number_start = record.number - record.index

    def key_of(self, places: tuple[int, ...]) -> str:
        return self.record.key

    def name_of(self, places: tuple[int, ...]) -> str:
        return self.record.name

    def slug_of(self, index: int, places: tuple[int, ...]) -> str:
        return self.record.slug

    def varied_of(self, places: tuple[int, ...]) -> Mapping[str, str]:
        return self.record.varied

    def options_of(self, places: tuple[int, ...]) -> Mapping[str, Setting]:
        return self.settings


def prepare(first: AttemptFolder, new: AttemptFolder) -> tuple[RunRecord, Launch]:
    """The run, and what starts its attempt in the folder `new`. `UserError`, `RunError`, `OSError` when it cannot be
    prepared, `ValueError` when the first attempt's folder does not hold what is needed."""
    told, record = read_json(first.next_attempt), read_launch(first).run
    if told is None or record is None:
        raise ValueError(f"{first.next_attempt} or {first.launch} cannot be read")
    context = SweepContext(**{name: _value(each) for name, each in told["context"].items()})
    context = context._replace(held_out=frozenset(context.held_out))
    settings = {
        key: Setting(value, Source(label, path), written)
        for key, (value, label, path, written) in told["settings"].items()
    }
    os.chdir(context.cwd)  # relative paths begin there
    run = Run(KeptRun(record, settings), record.index, ())
    launch = load(settings["trainer"].value).prepare(run, new, context)
    files = {**launch.files, AttemptFolder.NEXT: first.next_attempt.read_text(encoding="utf-8")}
    return record, launch._replace(files=files)


def _value(read: Any) -> Any:
    """A value of the context as it was before it was written as JSON."""
    return tuple(read) if isinstance(read, list) else read


def main() -> int:
    first, job = AttemptFolder(os.getcwd()), int(os.environ.get("SLURM_JOB_ID", "0"))
    newest = max(_attempts(first), key=lambda each: each.number)
    if newest.number != first.number and job_told(newest) != job:
        return _say(f"{newest.path.name} is another job's: this one has nothing to do")
    note_end(newest, job)
    code = newest.read_exit_code()
    if has_ended_by_itself(newest) or (code is not None and _has_succeeded(newest, code)):
        return 1 if "--can" in sys.argv else code or 0
    new = AttemptFolder(newest.path.with_name(f"attempt-{newest.number + 1}"))
    try:
        record, launch = prepare(first, new)
        if "--can" in sys.argv:
            before = read_resume(newest)
            return 0 if launch.resume and launch.resume.step > (before.step if before else 0) else 1
        _write(new, launch, record, job)
    except (UserError, RunError, OSError, ValueError, KeyError, TypeError) as error:
        return _say(f"{first.path.parent.name} cannot go on: {error}", 1)
    return become(launch, new)


def _attempts(of: AttemptFolder) -> list[AttemptFolder]:
    found = (AttemptFolder(path) for path in of.path.parent.iterdir() if path.is_dir())
    return [each for each in found if each.number]


def _has_succeeded(attempt: AttemptFolder, code: int) -> bool:
    record = read_launch(attempt).run
    try:
        return record is not None and load(record.trainer).verdict(attempt, code).kind == "succeeded"
    except (OSError, UserError):
        return False


def _write(new: AttemptFolder, launch: Launch, record: RunRecord, job: int) -> None:
    masker = masker_of({}, os.environ)
    argv, env = masker.value(launch.argv), masker.value(launch.env)
    files = {**launch.files, AttemptFolder.SLURM_JOB: f"{job}\n"}
    write_attempt(new, launch._replace(argv=argv, env=env, files=files), record, (), time.time())
    for cache in launch.caches:
        latents_cache.link(cache)


def _say(text: str, code: int = 0) -> int:
    print(f"automate-train: {text}", flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
