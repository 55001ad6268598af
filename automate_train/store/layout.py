"""Every file and folder name of a sweep and of an attempt.

Covers: names, and the few files that hold one line (exit code, the console's end). Not: the content of the others
(`launch`, `events`, `outcome`; `trainers`, `hook`), which attempts exist (`journal`). The hook's own modules, which run
in the trainer's process and can import nothing from here, repeat the names that they use; a test compares them.
"""

from __future__ import annotations

import glob
import os
import re
from pathlib import Path

from ..errors import UserError, printable
from .files import open_regular

LOGS = "_logs"
"""In temp_dir: the trackers' home, one for all runs of all sweeps."""
DATASETS = "datasets"
"""In temp_dir: links to pictures, beside which the trainer writes its caches."""
ATTEMPT = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*/attempt-[1-9][0-9]{0,8}")
"""An attempt's folder inside the sweep's, as we name it: `<run>/attempt-<n>`. A name of another shape may lead out of
the sweep's folder, and is not used."""


def run_folder(number: int, slug: str) -> str:
    return f"{number:03d}-{slug}"


def attempt_folder(run: str, number: int) -> str:
    """The folder of an attempt inside the sweep's; `run`: the run's folder."""
    return f"{run}/attempt-{number}"


class _Inside:
    """A file or folder of a fixed name inside a folder; made when it is asked for, and once."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __set_name__(self, owner: type, attribute: str) -> None:
        self.attribute = attribute

    def __get__(self, folder: SweepFolder | AttemptFolder, owner: type) -> Path:
        found = vars(folder)[self.attribute] = folder.path / self.name
        return found


class SweepFolder:
    """`<temp_dir>/<project>`: what the sweep as a whole owns."""

    def __init__(self, temp_dir: str | Path, project: str) -> None:
        self.temp_dir = Path(temp_dir)
        self.path = self.temp_dir / project

    journal = _Inside("journal.sqlite")
    about = _Inside("sweep.json")
    """What the sweep as a whole must not lose with its journal."""
    lock = _Inside("lock")
    sampler_lock = _Inside("sampler.lock")
    background_log = _Inside("sweep.log")
    """The output of a sweep that was started with --background."""
    sample_counts = _Inside("samples.json")
    """How many pictures are made and missing, as the sampler last wrote."""
    scores = _Inside("scores.jsonl")
    """What each checkpoint scored on each held-out picture."""
    held_out = _Inside("held_out.json")
    """Which pictures no run of the sweep may see."""
    judge_lock = _Inside("judge.lock")
    judge_counts = _Inside("judged.json")
    """How many checkpoints have their scores, as the judge last wrote."""
    measure = _Inside("measure")
    """What the program that measures is told and says."""
    votes = _Inside("votes.jsonl")
    """Which of two pictures a person preferred (`votes`)."""
    alarms = _Inside("alarms.json")
    """What looks wrong in pictures and weights (`judging/alarms`)."""
    results = _Inside("results.csv")
    report = _Inside("report.html")
    report_files = _Inside("report_files")
    report_error = _Inside("report-error.txt")
    provenance = _Inside("provenance.json")
    baselines = _Inside("baseline")
    """Pictures of the prompts without a LoRA."""

    @property
    def logs(self) -> Path:
        return self.temp_dir / LOGS

    def attempt(self, folder: str) -> AttemptFolder:
        """`folder`: `<run's folder>/attempt-<n>`."""
        return AttemptFolder(self.path / folder)


def find_sweep(path: str | Path) -> SweepFolder:
    """A sweep's folder (`<temp_dir>/<project>`), or the only one in a temp_dir; `UserError` where none is, or many."""
    given = Path(path)
    found = [given] if os.path.exists(given / "journal.sqlite") else [p.parent for p in given.glob("*/journal.sqlite")]
    if len(found) != 1:
        several = f"several sweeps are here: {', '.join(sorted(each.name for each in found)[:8])}" if found else ""
        hint = "give the folder <temp_dir>/<project_name_base>"
        raise UserError(several or "there is no sweep here (no journal.sqlite)", source=str(path), hint=hint)
    folder = found[0].absolute()
    return SweepFolder(folder.parent, folder.name)


class AttemptFolder:
    """`<temp_dir>/<project>/<index>-<slug>/attempt-<n>`: everything about one start of one run."""

    # Inside the folder, as a `Launch` names its files:
    TRAINING, DATASET, HOOK = "training.toml", "dataset.toml", "hook.json"
    HOOK_SCRIPT, OUTPUT, CONSOLE = "hook/run.py", "output", "console.log"
    NEXT, SLURM_JOB = "next_attempt.json", "slurm_job"
    BACKFILL = ("hook/hook_backfill_images.py", "hook/log_pictures.py")
    """By this edition's name, and by the first edition's: an attempt keeps the hook that it was started with."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    launch = _Inside("launch.json")
    resume = _Inside("resume.json")
    """Where a resumed attempt goes on."""
    console = _Inside(CONSOLE)
    events = _Inside("events.jsonl")
    scores = _Inside("scores.jsonl")
    """Scores that the trainer's own program reports."""
    exit_code = _Inside("exit_code")
    slurm_job = _Inside(SLURM_JOB)
    """The number of the job of Slurm that has begun it."""
    interrupted = _Inside("interrupted")
    """The signal by which Slurm has interrupted it."""
    next_attempt = _Inside(NEXT)
    """What `training.next_attempt` needs."""
    outcome = _Inside("outcome.json")
    """How it ended; the journal holds the same."""
    training = _Inside(TRAINING)
    hook = _Inside(HOOK)
    output = _Inside(OUTPUT)
    samples = _Inside(f"{OUTPUT}/sample")
    pending = _Inside(f"{OUTPUT}/sample/.pending")
    """Links to checkpoints that are still to be sampled, which the trainer may delete."""
    go_on = _Inside(f"{OUTPUT}/sample/.go-on")
    """The training waits for no sample any more."""
    logged = _Inside(f"{OUTPUT}/sample/.logged")
    """How many pictures were in the trackers when late ones were last logged."""

    @property
    def number(self) -> int:
        """From 1, within the run; 0 for a folder with another name."""
        number = self.path.name.removeprefix("attempt-")
        return int(number) if number.isascii() and number.isdecimal() and len(number) < 10 else 0

    def now(self, path: str) -> str:
        """Where a file is that the trainer has reported: the sweep may have been moved or copied since."""
        inside = f"{os.sep}{self.path.parent.name}{os.sep}{self.path.name}{os.sep}"
        _, found, rest = path.rpartition(inside)
        return os.path.join(self.path, rest if found else path)

    def newest(self, pattern: str) -> Path | None:
        """The newest file in here whose name matches (`output/**/*.safetensors`), or the one of that very name."""
        exact = self.path / pattern
        names = [pattern] if exact.is_file() else glob.glob(pattern, root_dir=self.path, recursive=True)
        files = [file for file in (self.path / name for name in names) if file.is_file()]
        return max(files, key=lambda file: (file.stat().st_mtime_ns, file.name), default=None)

    def final(self, checkpoint: str) -> Path:
        """Tells a training that waits for a checkpoint's samples to go on. `checkpoint`: its name without ending."""
        return self.samples / f"{checkpoint}.final"

    def read_exit_code(self) -> int | None:
        """The trainer's exit code, or None while it runs or when nobody was left to write it."""
        try:
            with open_regular(self.exit_code) as file:
                data = file.read(8)
        except OSError:
            return None
        # The shell writes number and newline in one write; without the newline the disk was full half-way.
        return int(data) if data.endswith(b"\n") and data.strip().isdigit() and len(data) < 6 else None

    def ended_at(self) -> float | None:
        """When the exit code was written, in seconds since 1970; None as by `read_exit_code`."""
        if self.read_exit_code() is None:
            return None
        try:
            return self.exit_code.stat().st_mtime
        except OSError:
            return None

    def begun_at(self) -> float | None:
        """When its job has begun it, in seconds since 1970; None where it has no job."""
        try:
            return self.slurm_job.stat().st_mtime
        except OSError:
            return None

    def tail(self, lines: int = 15) -> list[str]:
        """The last console lines, progress bars reduced to their last state, without what would steer a terminal."""
        try:
            with open_regular(self.console) as f:
                f.seek(max(0, self.console.stat().st_size - 64 * 1024))
                text = f.read().decode("utf-8", "replace")
        except OSError:
            return []
        shown = [printable(line.rstrip("\r").rsplit("\r", 1)[-1]).rstrip() for line in text.split("\n")]
        return [line for line in shown if line][-lines:]
