"""Runs attempts as jobs of Slurm, each with its own batch script.

Covers: submitting, finding the jobs of a sweep again (by their ids, else by their names), how an attempt ended or in
which attempt its job went on, why a job waits, scancel. Nothing that matters is only here: another process, on another
login node, finds all of it in the folders and in the queue. The end of a trainer that ended by itself is seen in its
folder (`exit_code`); whatever Slurm ended, or starts again, is known when squeue has told.
Not: the batch script (`slurm_script`), its options (`slurm_options`), the commands (`slurm_commands`), squeue's answer
(`slurm_queue`), which cluster and partition can be used (`slurm_checks`).
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping, Sequence, Set
from math import inf
from pathlib import Path

from ..config.sampling_options import trainer_environment
from ..errors import RunError
from ..records import Launch
from ..store.layout import AttemptFolder
from . import slurm_commands, slurm_queue
from .protocol import Found, Recovered
from .slurm_end import note_end
from .slurm_folders import exists, folders_of, has_ended_by_itself, job_of, job_told, later_attempt
from .slurm_queue import Handle, parse_handle
from .slurm_script import script
from .slurm_squeue import Squeue

ASK_SECONDS = 5.0
"""Between two questions to squeue at least."""
LOOK_SECONDS, LOOK_EACH_SECONDS = 0.25, 0.005
"""Between two looks at the folders, and what each attempt adds to it: a shared disk is not asked without a pause."""
GONE_SECONDS = 3.0
"""For which a job that has left the queue may still write its exit code, as another machine sees it."""
END_SECONDS = 60.0
"""What ended jobs get to leave the queue when the sweep begins."""


class _Watched:
    """An attempt whose end is awaited."""

    def __init__(self, folder: AttemptFolder, job: int, since: float) -> None:
        self.folder, self.job, self.since = folder, job, since
        """`since`: what squeue was asked before that moment does not know the job."""
        self.submission: tuple[str, Mapping[str, str]] | None = None
        """Batch script and environment of a job that Slurm may not have got."""
        self.began: float | None = None
        self.gone: float | None = None
        self.interrupted = self.stopped = False


class Slurm:
    def __init__(self, ask_seconds: float = ASK_SECONDS) -> None:
        self._queue = Squeue(ask_seconds)
        self._watched: dict[str, _Watched] = {}
        self._went_on: dict[str, tuple[AttemptFolder, str]] = {}

    def capacity(self) -> None:
        return None

    def reserve(self, devices: Sequence[str], attempt: AttemptFolder) -> bool:
        return True

    def release(self, devices: Sequence[str]) -> None:
        pass

    def start(self, launch: Launch, attempt: AttemptFolder, devices: Sequence[str]) -> str:
        """Submit the job. Where Slurm is away, that is done when it answers again, unless it has got the job."""
        if any("\0" in word for word in (*launch.argv, *launch.env.values(), launch.cwd)):
            raise RunError("could not be started: a NUL is in its command")
        inherited = trainer_environment(slurm_commands.environment())
        submission = script(launch, attempt), {**inherited, **launch.env, **launch.secrets}
        job = _submit(*submission)
        handle = self._watch(attempt, job)
        self._watched[handle].submission = None if job else submission
        self._queue.hurry()
        return handle

    def recover(self, sweep: Path, left_behind: Sequence[tuple[AttemptFolder, str]]) -> Recovered:
        folders = self._settled(sweep)
        asked = {os.path.realpath(attempt.path) for attempt, _ in left_behind}
        found, adopted = [], set()
        for attempt, text in left_behind:
            handle, job = parse_handle(text), job_of(attempt, text, folders, asked)
            if has_ended_by_itself(attempt):
                found.append(Found())
            elif job:
                found.append(Found(self._watch(attempt, job, self._queue.asked)))
                adopted.add(job)
            elif handle is not None and handle.cluster != slurm_commands.cluster():
                found.append(Found(elsewhere=f"the cluster {handle.cluster}"))
            else:
                if known := job_told(attempt) or (handle.job if handle else 0):
                    note_end(attempt, known)
                found.append(Found())
        finishing = {job for job, folder in folders.items() if has_ended_by_itself(folder)}
        self._end(folders.keys() - adopted - finishing)
        return Recovered(found, [])

    def living(self, sweep: Path, left_behind: Sequence[tuple[AttemptFolder, str]] = ()) -> dict[str, str]:
        if time.monotonic() >= self._queue.asked + self._queue.ask_seconds:
            self._queue.ask_now()
        folders = folders_of(sweep, self._queue.jobs or {})
        return {
            str(folder.path): self._watch(folder, job, self._queue.asked)
            for job, folder in folders.items()
            if not has_ended_by_itself(folder)
        }

    def wait(self, seconds: float | None, wake_on: Sequence[int] = ()) -> dict[str, int | None]:
        deadline = inf if seconds is None else time.monotonic() + seconds
        while True:
            before = self.waiting()
            ended = dict.fromkeys(handle for handle in [*self._watched] if self._has_ended(handle))
            for handle in ended:
                del self._watched[handle]
            now = time.monotonic()
            if ended or now >= deadline:
                return ended
            if self._watched:
                self._queue.ask_if_due(now)
            pause = LOOK_SECONDS + LOOK_EACH_SECONDS * len(self._watched) if self._watched else inf
            if self._listen(min(pause, deadline - now), wake_on) or self.waiting() != before:
                return {}

    def stop(self, handle: str, now: bool) -> None:
        watched, known = self._watched.get(handle), parse_handle(handle)
        if watched is not None:
            watched.submission, watched.stopped = None, True  # it may have arrived: squeue tells
        job = watched.job if watched else known.job if known else 0
        if job and not (watched and has_ended_by_itself(watched.folder)):
            slurm_commands.end(job, now)
            self._queue.hurry()

    def withdraw(self, handle: str) -> None:
        watched = self._watched.get(handle)
        if watched is not None and watched.submission is not None:
            watched.submission, watched.stopped = None, True
        elif watched is not None:
            slurm_commands.scancel(watched.job, "--state=PENDING")
            self._queue.hurry()

    def waiting(self) -> dict[str, str]:
        return {handle: why for handle, watched in self._watched.items() if (why := self._why(watched))}

    def went_on(self, handle: str) -> tuple[AttemptFolder, str] | None:
        return self._went_on.pop(handle, None)

    def holders(self, handle: str, attempt: AttemptFolder, devices: Sequence[str]) -> list[str]:
        """The job while Slurm has it. Its devices are Slurm's to give away: they are no matter of ours."""
        if handle not in self._watched or self._has_ended(handle):
            return []
        self._queue.ask_if_due(time.monotonic())
        self._listen(0.05)
        return [self.describe(handle)]

    def describe(self, handle: str) -> str:
        watched, known = self._watched.get(handle), parse_handle(handle)
        job = watched.job if watched else known.job if known else 0
        return f"Slurm job {job}" if job else "a job that Slurm has not confirmed"

    # the attempts

    def _watch(self, attempt: AttemptFolder, job: int, since: float | None = None) -> str:
        """`since`: see `_Watched`; None: now."""
        handle = str(Handle(slurm_commands.cluster(), job, slurm_queue.inside(attempt)))
        self._watched.setdefault(handle, _Watched(attempt, job, time.monotonic() if since is None else since))
        return handle

    def _has_ended(self, handle: str) -> bool:
        watched, now = self._watched[handle], time.monotonic()
        folder = watched.folder
        if watched.submission is not None:
            return False
        if watched.job and (later := later_attempt(folder, watched.job)) is not None:
            note_end(folder, watched.job)
            self._went_on[handle] = later, self._watch(later, watched.job)
            return True
        if has_ended_by_itself(folder):
            return True
        if watched.began is None and exists(folder.exit_code):
            watched.began = now
        if not watched.interrupted and os.path.exists(folder.interrupted):
            watched.interrupted = True
            self._queue.hurry()
        if self._queue.jobs is None or self._queue.asked < watched.since:
            return False
        if watched.job in self._queue.jobs:
            watched.gone = None
            return False
        watched.gone = watched.gone or now
        if now < watched.gone + GONE_SECONDS:
            return False
        if watched.job:
            note_end(folder, watched.job)
        return True

    def _why(self, watched: _Watched) -> str:
        """Why an attempt has not begun; "": it has. One that Slurm has put back waits, too."""
        if watched.submission is not None or self._queue.jobs is None or self._queue.asked < watched.since:
            return "" if watched.began else "submitted"
        job = self._queue.jobs.get(watched.job)
        if job is None and watched.began is None:
            return "gone from the queue"
        is_older = watched.began is not None and self._queue.asked < watched.began
        return job.why if job is not None and job.waits and not is_older else ""

    # jobs that have no number yet, and those that are ended

    def _listen(self, seconds: float, wake_on: Sequence[int] = ()) -> bool:
        """Wait; whether somebody called."""
        called, told = self._queue.poll(seconds, wake_on)
        if told and self._queue.jobs is not None:
            for watched in self._watched.values():
                if not watched.job and self._queue.asked >= watched.since:
                    self._find_or_submit(watched)
        return called

    def _find_or_submit(self, watched: _Watched) -> None:
        """A job whose submission was not answered: it is in the queue, by its name, or Slurm has not got it."""
        name = slurm_queue.job_name(watched.folder)
        watched.job = max((job.id for job in (self._queue.jobs or {}).values() if job.name == name), default=0)
        if watched.job and watched.stopped:
            slurm_commands.scancel(watched.job)
        elif not watched.job and watched.submission and self._queue.asked >= watched.since + self._queue.ask_seconds:
            watched.since = time.monotonic()
            try:
                watched.job = _submit(*watched.submission)
            except RunError as error:
                watched.submission = None
                with contextlib.suppress(OSError):
                    watched.folder.console.write_text(f"{error}\n", encoding="utf-8")
        if watched.job:
            watched.submission = None

    def _settled(self, sweep: Path) -> dict[int, AttemptFolder]:
        """The sweep's jobs, when none is just being ended: whether Slurm starts it again is not known before."""
        deadline = time.monotonic() + END_SECONDS
        while True:
            jobs = self._queue.ask_now()
            folders = folders_of(sweep, jobs)
            ending = [job for job in folders if jobs[job].state == "COMPLETING"]
            if time.monotonic() > deadline or all(has_ended_by_itself(folders[job]) for job in ending):
                return folders
            time.sleep(0.5)

    def _end(self, jobs: Set[int]) -> None:
        """End jobs that nobody waits for, and wait until they are gone."""
        for job in jobs:
            slurm_commands.end(job, now=True)
        deadline = time.monotonic() + END_SECONDS
        while jobs and time.monotonic() < deadline:
            jobs = jobs & self._queue.ask_now().keys()
            time.sleep(0.1 if jobs else 0)


def _submit(text: str, environment: Mapping[str, str]) -> int:
    """The job's number; 0 when Slurm has not answered, so that nobody knows whether it has the job."""
    try:
        answer = slurm_commands.run("sbatch", "--parsable", text=text, env=environment)
        return int(answer.split(";")[0])
    except slurm_commands.CommandError as error:
        if error.passes:
            return 0
        raise RunError(f"could not be started: sbatch refuses it: {error}") from error
    except ValueError:
        return 0
