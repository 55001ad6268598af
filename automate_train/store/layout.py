"""Every file and folder name of a sweep and of an attempt.

Covers: names, and the few files that hold one line (exit code, pid, the console's end). Not: the content of the others
(`launch`, `events`, `outcome`; `trainers`, `hook`), which attempts exist (`journal`). The hook's own modules, which run
in the trainer's process and can import nothing from here, repeat the names that they use; a test compares them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from ..errors import UserError
from ..records import Cache

LOGS = "_logs"
"""In temp_dir: the trackers' home, one for all runs of all sweeps."""
DATASETS = "datasets"
"""In temp_dir: links to pictures, beside which the trainer writes its caches."""
MARK = re.compile(rb"automate-train key=([0-9a-f]{16})")
MARKED = 16 << 20
"""Bytes at a file's start in which its mark is looked for: a checkpoint's header is smaller."""
ATTEMPT = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*/attempt-[1-9][0-9]{0,8}")
"""An attempt's folder inside the sweep's, as we name it: `<run>/attempt-<n>`. A name of another shape may lead out of
the sweep's folder, and is not used."""


class _Inside:
    """A file or folder of a fixed name inside a folder."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, folder: SweepFolder | AttemptFolder, owner: type) -> Path:
        return folder.path / self.name


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
    """What a sweep says that was started with --background."""
    sample_counts = _Inside("samples.json")
    """How many pictures the sampler has made, as it last said."""
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
        raise UserError(several or "no sweep's journal is here", source=str(path), hint=hint)
    folder = found[0].absolute()
    return SweepFolder(folder.parent, folder.name)


class AttemptFolder:
    """`<temp_dir>/<project>/<index>-<slug>/attempt-<n>`: everything about one start of one run."""

    # Inside the folder, as a `Launch` names its files:
    TRAINING, DATASET, HOOK = "training.toml", "dataset.toml", "hook.json"
    HOOK_SCRIPT, OUTPUT = "hook/run.py", "output"
    BACKFILL = ("hook/hook_backfill_images.py", "hook/log_pictures.py")
    """By this edition's name, and by the first edition's: an attempt keeps the hook that it was started with."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    launch = _Inside("launch.json")
    resume = _Inside("resume.json")
    """Where a resumed attempt goes on."""
    console = _Inside("console.log")
    events = _Inside("events.jsonl")
    pid = _Inside("pid")
    exit_code = _Inside("exit_code")
    outcome = _Inside("outcome.json")
    """How it ended: what the journal says of it, too."""
    training = _Inside(TRAINING)
    hook = _Inside(HOOK)
    output = _Inside(OUTPUT)
    samples = _Inside(f"{OUTPUT}/sample")
    pending = _Inside(f"{OUTPUT}/sample/.pending")
    """Links to checkpoints that are still to be sampled, which the trainer may delete."""
    logged = _Inside(f"{OUTPUT}/sample/.logged")
    """How many pictures were in the trackers when late ones were last logged."""

    @property
    def number(self) -> int:
        """From 1, within the run; 0 for a folder with another name."""
        number = self.path.name.removeprefix("attempt-")
        return int(number) if number.isascii() and number.isdecimal() and len(number) < 10 else 0

    def final(self, checkpoint: str) -> Path:
        """Tells a training that waits for a checkpoint's samples to go on. `checkpoint`: its name without ending."""
        return self.samples / f"{checkpoint}.final"

    def deliver(self, keep: Mapping[str, str]) -> list[str]:
        """Copy finished files to where people look for them, each by rename; returns where they are. `OSError` when the
        disk refuses. Where a file of another run (or of the user) has the name, all get `-<start of the key>` behind
        theirs: nothing of others is replaced."""
        import shutil  # not before the first run has ended
        import zlib

        # Of this attempt, not of this process: what a kill leaves half-copied is overwritten by the next try.
        own_end = f"{zlib.crc32(os.fsencode(self.path)):08x}"
        marks = {target: mark(self.path / name) for name, target in keep.items()}
        if any(os.path.lexists(target) and mark(target) != own for target, own in marks.items()):
            end = "-" + (next(filter(None, marks.values()), "") or self.path.parent.name)[:8]
            keep = {name: f"{os.path.splitext(to)[0]}{end}{os.path.splitext(to)[1]}" for name, to in keep.items()}
        for name, target in keep.items():
            Path(target).parent.mkdir(parents=True, exist_ok=True)
            temp = Path(target).with_name(f".{Path(target).name}.{own_end}")
            try:
                temp.unlink(missing_ok=True)  # never through a link that somebody has put there
                shutil.copyfile(self.path / name, temp)
                temp.replace(target)
            finally:
                temp.unlink(missing_ok=True)
        return list(keep.values())

    def read_exit_code(self) -> int | None:
        """The trainer's exit code, or None while it runs or when nobody was left to write it."""
        try:
            data = self.exit_code.read_bytes()
        except OSError:
            return None
        # The shell writes number and newline in one write; without the newline the disk was full half-way.
        return int(data) if data.endswith(b"\n") and data.strip().isdigit() and len(data) < 6 else None

    def read_pid(self) -> int:
        """The pid (and process group) of the shell that waits for the trainer; 0 when it has not told."""
        try:
            return int(self.pid.read_bytes())
        except (OSError, ValueError):
            return 0

    def tail(self, lines: int = 15) -> list[str]:
        """The last console lines, progress bars reduced to their last state."""
        try:
            with self.console.open("rb") as f:
                f.seek(max(0, self.console.stat().st_size - 64 * 1024))
                text = f.read().decode("utf-8", "replace")
        except OSError:
            return []
        shown = [line.rstrip("\r").rsplit("\r", 1)[-1].rstrip() for line in text.split("\n")]
        return [line for line in shown if line][-lines:]


def mark(file: str | Path) -> str:
    """The run's key that a checkpoint or training.toml bears in its `training_comment`; "" when it has none."""
    try:
        with open(file, "rb") as opened:
            found = MARK.findall(opened.read(MARKED))
    except OSError:
        return ""
    return found[-1].decode() if found else ""


FILLED = ".filled"


def _link(cache: Cache) -> None:
    """Links to the user's pictures in a folder of ours, so that cache files never land beside the pictures."""
    folder = Path(cache.path)
    folder.mkdir(parents=True, exist_ok=True)
    for name, target in cache.links.items():
        link = folder / name
        if not link.is_symlink() or os.readlink(link) != target:
            link.unlink(missing_ok=True)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(target)


def is_filled(cache: Cache) -> bool:
    return (Path(cache.path) / FILLED).exists()


def mark_filled(cache: Cache) -> None:
    """From here on several runs may use the cache at once: nobody writes into it any more."""
    (Path(cache.path) / FILLED).touch()
