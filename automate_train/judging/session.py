"""One session of the judge, from its lock to its exit code.

Covers: planning, measuring one checkpoint after the other, what is said and noted of the progress, the pipe from the
sweep. Not: which checkpoints (`planner`), on which device (`device`), how one is measured (`measurer`).
"""

from __future__ import annotations

import json
import os
import select
import shlex
import time
from collections.abc import Callable
from contextlib import ExitStack, closing

from ..machine import gpus, lock
from ..store.files import write
from ..store.journal import Journal
from ..store.layout import SweepFolder
from ..store.scores import append_score
from . import pictures
from .device import LOOK_SECONDS, held
from .measurer import Broken, Measurer, Unmeasurable
from .planner import Measure, Plan, Planner, Task, fault

SAY_SECONDS = 10.0
"""Between two lines about the progress."""
STARTS = 3
"""How often the program that measures is started again without having measured anything."""


def run(
    folder: SweepFolder, *, follow: bool = False, device: str | None = None, cpu: bool = False,
    say: Callable[[str], None] = print,
) -> int:  # fmt: skip
    """Measure what has no score. 0: all checkpoints that are there have one; 1: some could not be measured.

    `follow`: standard input is a pipe from the sweep, of which a line means that there is something new, and its end
    that nothing more comes. `device`: as people write it; None: any that is free. `UserError`: another judge is at
    work on this sweep, or there is nothing to measure on.
    """
    pictures.usable(folder)  # refuses before it waits
    if not follow and not cpu and device is None:
        _wait_for_the_sweep(folder, say)
    with ExitStack() as stack:
        if follow and lock.is_held(folder.judge_lock):  # that of a killed sweep, or one that a person typed
            say("another judge measures this sweep: its end is waited for")
            while lock.is_held(folder.judge_lock):
                time.sleep(0.5)
        stack.enter_context(lock.held(folder.judge_lock))
        held_out = pictures.usable(folder)
        journal = stack.enter_context(closing(Journal(folder.journal)))
        session = Session(folder, Planner(folder, journal, held_out, device, cpu), follow, say)
        stack.callback(session.close)
        return session.run()


def _wait_for_the_sweep(folder: SweepFolder, say: Callable[[str], None]) -> None:
    """A device that falls free between two runs is the next run's. Before the judge's lock is taken: the sweep's own
    judge needs it, and the sweep ends only after that."""
    if not lock.is_held(folder.lock) or not gpus.snapshot():
        return
    say("this sweep still trains: judging begins when it has ended (--device N or --cpu judges beside it)")
    while lock.is_held(folder.lock):
        time.sleep(LOOK_SECONDS)


class Session:
    def __init__(self, folder: SweepFolder, planner: Planner, follow: bool, say: Callable[[str], None]) -> None:
        self.folder, self.planner, self.say = folder, planner, say
        self.more_may_come = follow
        self.measurer: Measurer | None = None
        self.device_of_measurer = ExitStack()
        self.told: set[str] = set()
        self.judged = self.total = 0
        self.seconds: list[float] = []
        """What the checkpoints of this session took, without the base's load."""
        self.said_at = time.monotonic()

    def run(self) -> int:
        while True:
            plan = self._plan()
            for measure in plan.measures:
                self._measure(measure)
            if not plan.measures and not self._wait_for_news():
                break
        self._note(0.0)
        self._summary()
        return int(self.judged < self.total)

    def close(self) -> None:
        if self.measurer is not None:
            self.measurer.close()
            self.measurer = None
        self.device_of_measurer.close()

    def _plan(self) -> Plan:
        plan = self.planner.plan()
        self.judged, self.total = plan.judged, plan.total
        for problem in plan.problems:
            self._tell(problem)
        if plan.differences:
            self._tell(f"several measures, whose scores are not compared with each other: {plan.differences}")
        self._note(None)
        return plan

    def _measure(self, measure: Measure) -> None:
        """All of a measure's tasks, with the base loaded once. One that breaks the program is left out. None is tried
        twice in a session, whatever becomes of its scores."""
        failures = 0
        for task in measure.tasks:
            if task.path and not os.path.exists(task.path):
                continue  # deleted meanwhile: the next plan says so
            wrong = fault(task.path) if task.path else ""
            if wrong:
                self._skip(task, wrong)
                continue
            try:
                measurer = self._measurer(measure)
            except Broken as error:
                self._leave(measure, f"its base model is not loaded: {error}")
                return
            try:
                began = time.monotonic()
                for item, score in measurer.scores(task):
                    append_score(self.folder, task.score._replace(item=item, score=score))
                failures = 0
            except Unmeasurable as error:
                self._skip(task, str(error))
            except Broken as error:
                self.close()
                failures += 1
                self._skip(task, str(error))
                if failures == STARTS or not task.path:
                    self._leave(measure, f"the program that measures has broken {failures} time{'s' * (failures > 1)}")
                    return
            else:
                self.planner.skip(task)
                if task.path:
                    self.judged += 1
                    self.seconds.append(time.monotonic() - began)
                self._progress()

    def _measurer(self, measure: Measure) -> Measurer:
        if self.measurer is None or self.measurer.name != measure.name:
            self.close()
            wanted, on_cpu = self.planner.device, self.planner.is_on_cpu(measure.launch)
            place = self.device_of_measurer.enter_context(held(self.folder, wanted, on_cpu, self.say))
            try:
                self.measurer = Measurer(self.folder, measure, self.planner.held_out.pictures, place)
                self.measurer.wait_until_ready()
            except Broken:
                self.close()
                raise
        return self.measurer

    def _leave(self, measure: Measure, why: str) -> None:
        for task in measure.tasks:
            self.planner.skip(task)
        self._tell(f"{measure.name}: nothing more is measured: {why}")

    def _skip(self, task: Task, why: str) -> None:
        self.planner.skip(task)
        self._tell(f"{task.label}: {why}")

    def _tell(self, text: str) -> None:
        """Once a session."""
        if text not in self.told:
            self.told.add(text)
            self.say(text)

    def _seconds_left(self) -> float | None:
        if not self.seconds:
            return None
        return sum(self.seconds) / len(self.seconds) * (self.total - self.judged)

    def _progress(self) -> None:
        left = self._seconds_left()
        self._note(left)
        if time.monotonic() > self.said_at + SAY_SECONDS:
            self.said_at = time.monotonic()
            about = f", about {_duration(left)} left" if left else ""
            self.say(f"judged {self.judged} of {self.total} checkpoints{about}")

    def _note(self, left: float | None) -> None:
        """For `status`."""
        counts = {"judged": self.judged, "checkpoints": self.total, "seconds_left": left}
        write(self.folder.judge_counts, json.dumps(counts) + "\n")

    def _wait_for_news(self) -> bool:
        """False: nothing more comes."""
        if not self.more_may_come:
            return False
        select.select([0], [], [])
        self.more_may_come = bool(os.read(0, 65536))
        return True

    def _summary(self) -> None:
        self.say(f"judged {self.judged} of {self.total} checkpoint{'s' * (self.total != 1)}")
        if self.judged < self.total:
            self.say(f"later: automate-train judge {shlex.quote(str(self.folder.path))}")


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
