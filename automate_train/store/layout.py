"""Every file name inside a sweep's and an attempt's folder; temp-then-rename writes; the tail of events.

Covers: the contract between orchestrator and trainer process (DESIGN: "The attempt's folder is the contract").
Not: what stands in the files (`trainers/*`, `hook`), nor which attempts exist (`journal`).
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from math import isfinite
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..records import Cache, Event, Launch

_encode = json.JSONEncoder(ensure_ascii=False).encode
LOGS = "_logs"
MAX_LINE, CHUNK = 1 << 20, 8 << 20
MARK = re.compile(rb"automate-train key=([0-9a-f]{16})")
MARKED = 16 << 20
"""Bytes at a file's start in which its mark is looked for: a checkpoint's header is smaller."""


class SweepFolder:
    """`<temp_dir>/<project>`: what the sweep as a whole owns."""

    def __init__(self, temp_dir: str | Path, project: str) -> None:
        self.temp_dir = Path(temp_dir)
        self.path = self.temp_dir / project

    journal = property(lambda self: self.path / "journal.sqlite")
    lock = property(lambda self: self.path / "lock")
    results = property(lambda self: self.path / "results.csv")
    logs = property(lambda self: self.temp_dir / LOGS)

    def attempt(self, run_folder: str, number: int) -> AttemptFolder:
        return AttemptFolder(self.path / run_folder / f"attempt-{number}")


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

    TRAINING, DATASET, HOOK, LAUNCH = "training.toml", "dataset.toml", "hook.json", "launch.json"
    HOOK_SCRIPT, OUTPUT = "hook/run.py", "output"

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    console = property(lambda self: self.path / "console.log")
    events = property(lambda self: self.path / "events.jsonl")
    pid = property(lambda self: self.path / "pid")
    exit_code = property(lambda self: self.path / "exit_code")
    output = property(lambda self: self.path / self.OUTPUT)
    samples = property(lambda self: self.path / self.OUTPUT / "sample")

    def write(self, launch: Launch, about: Mapping[str, Any] | None = None) -> None:
        """Make the folder and write what was asked for; `FileExistsError` when an earlier attempt is there. `about`:
        what else launch.json says (which run this is, in case that the journal is lost)."""
        path = str(self.path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.mkdir(path)
        os.mkdir(f"{path}/{self.OUTPUT}")
        asked = {
            "argv": launch.argv,
            "cwd": launch.cwd,
            "env": dict(launch.env),
            "secrets": sorted(launch.secrets),  # the names alone: what to set to run it by hand
            "gpus": launch.gpus,
            "keep": dict(launch.keep),
            **(about or {}),
        }
        for name, text in launch.files.items():
            if "/" in name:
                os.makedirs(os.path.join(path, os.path.dirname(name)), exist_ok=True)
            _write(os.path.join(path, name), text)
        # One line a field: `indent` would take json's slow way, and this stands between a free device and its run.
        fields = (f'"{name}": {_encode(value)}' for name, value in asked.items())
        _write(f"{path}/{self.LAUNCH}", "{" + ",\n ".join(fields) + "}\n")
        for cache in launch.caches:
            _link(cache)

    def read_keep(self) -> dict[str, str]:
        """`Launch.keep` as it was written, for an attempt that an earlier orchestrator started."""
        try:
            kept = json.loads((self.path / self.LAUNCH).read_text(encoding="utf-8"))["keep"]
            return {str(name): str(target) for name, target in kept.items()}
        except (OSError, ValueError, KeyError, AttributeError, TypeError):
            return {}

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


def _write(path: str, text: str) -> None:
    """A new file, without what a text stream costs."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    try:
        data = memoryview(text.encode())
        while data:
            data = data[os.write(descriptor, data) :]
    finally:
        os.close(descriptor)


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


def new_events(file: str | Path, offset: int = 0) -> tuple[list[Event], int]:
    """Events after `offset` and the offset to go on from. A half-written last line is left for the next time; a line
    that is no event (untrusted: any program may write there) is skipped; so is what is no plain file."""
    found: list[Event] = []
    try:
        # Without O_NONBLOCK a pipe of this name would hold us for ever.
        with open(os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as f:
            if not stat.S_ISREG(os.fstat(f.fileno()).st_mode):
                return [], offset
            while True:
                f.seek(offset)
                data = f.read(CHUNK)
                # A line that fills a whole chunk is no event: let go of it.
                whole = data.rfind(b"\n") + 1 or (CHUNK if len(data) == CHUNK else 0)
                found += _parse(data[:whole])
                offset += whole
                if len(data) < CHUNK:
                    return found, offset
    except OSError:
        return found, offset


def _parse(data: bytes) -> Iterator[Event]:
    for line in data.split(b"\n"):
        if not line or len(line) > MAX_LINE:
            continue
        try:
            fields = json.loads(line, parse_int=_whole)
            if b"\\u" in line:
                _encode(fields).encode()  # half of a surrogate pair: the journal could not hold it
            event = Event(float(fields.pop("at")), str(fields.pop("kind")), fields)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue
        if isfinite(event.at):
            yield event


def _whole(text: str) -> int:
    """Integers that the journal can hold; of anything longer the line is no event."""
    if len(text) > 18:
        raise ValueError(text[:20])
    return int(text)


def replace(file: Path, text: str) -> None:
    """Write so that a reader sees the old text or the new one, never a part: temp file beside it, then rename."""
    temp = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        temp.write_text(text, encoding="utf-8")
        temp.replace(file)
    finally:
        temp.unlink(missing_ok=True)
