"""What is still to be measured: the sweep's checkpoints without a score, by measure.

Covers: checkpoints of all attempts of each run, wherever the sweep's folder is now; which of them share a measure;
which held-out pictures can be used; what cannot be measured, in words. Not: measuring (`session`).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from typing import NamedTuple

from ..errors import UserError
from ..machine import gpus
from ..records import Checkpoint, Launch, RunRecord, Score
from ..store.history import Histories
from ..store.journal import Journal
from ..store.layout import AttemptFolder, SweepFolder
from ..store.scores import read_scores
from ..trainers import events_of, load, safetensors_file
from .pictures import Usable

OWN = "the command trainer's programs measure by themselves (docs/command.md)"
VERSION = 1
"""Of how the error is computed: another one makes another measure."""


class Task(NamedTuple):
    """One checkpoint, or the base without a LoRA."""

    path: str
    """Absolute; empty for the base."""
    score: Score
    """What its scores have in common; `item` and `score` are empty."""
    items: tuple[str, ...]
    """The pictures on which it has no score."""

    @property
    def label(self) -> str:
        return self.score.checkpoint or "the base model without a LoRA"


class Measure(NamedTuple):
    name: str
    launch: Launch
    defines: dict[str, object]
    tasks: list[Task]


class Plan(NamedTuple):
    measures: list[Measure]
    """Those with something to do."""
    differences: str
    """In what the sweep's measures differ; empty where there is one."""
    judged: int
    """Checkpoints that have all their scores, of `total` that can have them."""
    total: int
    problems: list[str]
    """Why something cannot be measured."""


class Planner:
    def __init__(
        self, folder: SweepFolder, journal: Journal, held_out: Usable, device: str | None = None, cpu: bool = False
    ) -> None:
        """`device`, `cpu`: where a person wants them measured."""
        self.folder, self.journal, self.held_out = folder, journal, held_out
        self.device, self._cpu = device, cpu or not gpus.snapshot()
        self._histories = Histories(folder, journal, events_of)
        self._skipped: dict[str, tuple[int, int]] = {}
        """Checkpoint -> size and time of the file that could not be measured: another file is tried again."""
        self._launches: dict[str, tuple[str, Launch] | str] = {}
        """Attempt's folder -> its measure's name and launch, or why there is none."""

    def plan(self) -> Plan:
        records = [record for record in self.journal.records() if record.attempts]
        first = min(
            (attempt for record in records for attempt in record.attempts), key=lambda each: each.id, default=None
        )
        reference = self.folder.attempt(first.folder) if first else None
        known = {(each.measure, each.checkpoint, each.item) for each in read_scores(self.folder)}
        found: dict[str, Measure] = {}
        problems: dict[str, None] = {}
        judged = total = gone = 0
        for record, saved in self._checkpoints(records):
            attempt = self.folder.attempt(next(each.folder for each in record.attempts if each.number == saved.attempt))
            named = self._launch(record, attempt, reference or attempt)
            if isinstance(named, str):
                problems.setdefault(named)
                total += named is not OWN
                continue
            task = self._task(record, saved, named[0], known)
            if task.items and not os.path.isfile(task.path):
                gone += 1
                continue
            total += 1
            judged += not task.items
            measure = found.setdefault(named[0], Measure(*named, _defines(named[1]), []))
            if task.items and self._may_try(task):
                if not measure.tasks and (base := self._base(named[0], known)).items:
                    measure.tasks.append(base)
                measure.tasks.append(task)
        if gone:
            one = gone == 1
            problems[f"{gone} checkpoint{'' if one else 's'} {'was' if one else 'were'} deleted before "
                     f"{'it' if one else 'they'} could be judged"] = None  # fmt: skip
        due = [each for each in found.values() if each.tasks]
        differ = differences(list(found.values()))
        return Plan(due, differ, judged, total, [*problems, *self.held_out.problems])

    def skip(self, task: Task) -> None:
        """It could not be measured: not again before its file has changed."""
        self._skipped[task.path] = _state(task.path)

    def _checkpoints(self, records: Sequence[RunRecord]) -> list[tuple[RunRecord, Checkpoint]]:
        """Oldest first."""
        found = [(record, saved) for record in records for saved in self._histories.brief(record).checkpoints]
        return sorted(found, key=lambda pair: (pair[1].at, pair[1].path))

    def _task(self, record: RunRecord, saved: Checkpoint, measure: str, known: set[tuple[str, str, str]]) -> Task:
        path = os.path.abspath(saved.path)
        inside = os.path.relpath(path, self.folder.path)
        score = Score(record.key, inside, saved.epoch, saved.step, measure, "", 0.0)
        return Task(path, score, self._missing(score, known))

    def _base(self, measure: str, known: set[tuple[str, str, str]]) -> Task:
        score = Score("", "", None, None, measure, "", 0.0)
        return Task("", score, self._missing(score, known))

    def _missing(self, score: Score, known: set[tuple[str, str, str]]) -> tuple[str, ...]:
        names = (each.name for each in self.held_out.pictures)
        return tuple(name for name in names if (score.measure, score.checkpoint, name) not in known)

    def _may_try(self, task: Task) -> bool:
        return task.path not in self._skipped or self._skipped[task.path] != _state(task.path)

    def _launch(self, record: RunRecord, attempt: AttemptFolder, reference: AttemptFolder) -> tuple[str, Launch] | str:
        """(the measure's name, its launch), or why its checkpoints cannot be measured."""
        known = self._launches.get(key := str(attempt.path))
        if known is None:
            known = self._launches[key] = self._asked(record, attempt, reference)
        return known

    def _asked(self, record: RunRecord, attempt: AttemptFolder, reference: AttemptFolder) -> tuple[str, Launch] | str:
        try:
            measure = getattr(load(record.trainer), "measure", None)
            if measure is None:
                return OWN
            launch = self._placed(measure(attempt, reference))
        except UserError as error:
            return str(error)
        about = [VERSION, self.held_out.digest, _defines(launch)]
        text = json.dumps(about, sort_keys=True, ensure_ascii=False, default=str)
        return f"held-out-{hashlib.sha256(text.encode()).hexdigest()[:8]}", launch

    def is_on_cpu(self, launch: Launch) -> bool:
        """Runs that trained without a GPU are measured without one, unless a person names one."""
        return self._cpu or (launch.gpus == 0 and self.device is None)

    def _placed(self, launch: Launch) -> Launch:
        """With the kind of device in what defines the measure: the CPU and the GPUs draw other noise from one seed."""
        setup = json.loads(launch.files["measure.json"])
        setup["defines"]["device"] = "CPU" if self.is_on_cpu(launch) else "GPU"
        return launch._replace(files={"measure.json": json.dumps(setup, ensure_ascii=False, indent=1) + "\n"})


def _defines(launch: Launch) -> dict[str, object]:
    return dict(json.loads(launch.files["measure.json"])["defines"])


def _state(path: str) -> tuple[int, int]:
    try:
        about = os.stat(path)
    except OSError:
        return -1, -1
    return about.st_size, about.st_mtime_ns


def fault(path: str) -> str:
    """What is wrong with a checkpoint, in words that follow its name; empty where it can be measured."""
    if not path.endswith(".safetensors"):
        return "is no .safetensors file, and nothing else is read"
    return safetensors_file.fault(path)


def differences(measures: Sequence[Measure]) -> str:
    """In what several measures of a sweep differ: `held-out-1a2b3c4d has clip_skip 1, ...`; empty for one."""
    if len(measures) < 2:
        return ""
    keys = sorted({key for each in measures for key in each.defines})
    differ = [key for key in keys if len({str(each.defines.get(key)) for each in measures}) > 1]
    parts = []
    for each in measures:
        values = ", ".join(f"{key} {each.defines.get(key, '(not set)')}" for key in differ)
        parts.append(f"{each.name} has {values}")
    return "; ".join(parts)
