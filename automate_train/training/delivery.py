"""Finished LoRAs, copied to target_path beside the sweep.

Covers: the copies, made one after the other by a thread, so that a slow or hanging disk delays no start and no Ctrl-C;
whose file has which name; what an earlier orchestrator did not get to. A copy that fails is told and made again by the
next start: it never runs a training again. Not: which files are kept (`trainers`), when (`loop`).
"""

from __future__ import annotations

import contextlib
import filecmp
import os
import queue
import re
import threading
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from ..records import Attempt, RunRecord
from ..store.launch import read_launch
from ..store.layout import AttemptFolder, SweepFolder

MARK = re.compile(rb"automate-train key=([0-9a-f]{16})")
MARK_BYTES = 16 << 20
"""Bytes at a file's start in which its mark is looked for at most."""
COPY_BYTES = 1 << 20
"""Read at a time."""


class Delivered(NamedTuple):
    """What became of one attempt's files."""

    attempt: Attempt
    paths: tuple[str, ...] = ()
    error: str = ""
    """Why they could not be copied."""


class Delivery:
    def __init__(self, sweep: SweepFolder) -> None:
        self.pending: set[int] = set()
        """Ids of attempts whose files are still to be copied, or whose result was not taken yet."""
        self._sweep = sweep
        self._attempts: queue.SimpleQueue[Attempt] = queue.SimpleQueue()
        self._results: queue.SimpleQueue[Delivered] = queue.SimpleQueue()
        self._pipe: tuple[int, int] | None = None

    @property
    def wake_on(self) -> tuple[int, ...]:
        """What becomes readable when there is a result to take."""
        return self._pipe[:1] if self._pipe else ()

    def add(self, attempt: Attempt) -> None:
        """Copy what a succeeded attempt keeps. Nobody waits for the thread, which may hang in a disk."""
        if self._pipe is None:
            self._pipe = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
            threading.Thread(target=self._work, args=(self._pipe[1],), name="delivery", daemon=True).start()
        if attempt.id not in self.pending:
            self.pending.add(attempt.id)
            self._attempts.put(attempt)

    def results(self) -> Iterator[Delivered]:
        """What is done since the last call."""
        if self._pipe is None:
            return
        with contextlib.suppress(BlockingIOError):
            os.read(self._pipe[0], 4096)
        while not self._results.empty():
            result = self._results.get()
            self.pending.discard(result.attempt.id)
            yield result

    def _work(self, write_end: int) -> None:
        while True:
            attempt = self._attempts.get()
            folder = AttemptFolder(self._sweep.path / attempt.folder)
            try:
                keep = read_launch(folder).keep
                unreadable = f"{folder.launch} cannot be read, which says where they belong"
                result = (
                    Delivered(attempt, error=unreadable) if keep is None else Delivered(attempt, deliver(folder, keep))
                )
            except Exception as error:  # the others are still to be copied, and who waits for this one must be told
                result = Delivered(attempt, error=str(error) or type(error).__name__)
            self._results.put(result)
            os.write(write_end, b"x")


def undelivered(records: Iterable[RunRecord]) -> Iterator[Attempt]:
    """Each run's newest success, where nothing says that its files were copied, or that it keeps none."""
    for record in records:
        succeeded = [each for each in record.attempts if each.outcome and each.outcome.kind == "succeeded"]
        if succeeded and "delivered" not in succeeded[-1].metrics:
            yield succeeded[-1]


def deliver(attempt: AttemptFolder, keep: Mapping[str, str]) -> tuple[str, ...]:
    """Copy files of an attempt to where people look for them, each by rename; where they are then. Of several that a
    name matches the newest is copied. Where a file of another run, or of the user, has the name, all get `-<start of
    the key>` behind theirs: nothing of others is replaced. `OSError`: the disk refuses."""
    keep = {os.path.relpath(attempt.newest(name) or attempt.path / name, attempt.path): to for name, to in keep.items()}
    # Of this attempt, not of this process: what a kill leaves half-copied is overwritten by the next try.
    own_end = f"{zlib.crc32(os.fsencode(attempt.path)):08x}"
    if any(os.path.lexists(target) and not _is_ours(attempt, name, keep) for name, target in keep.items()):
        key = next(filter(None, (mark(attempt.path / name) for name in keep)), "")
        end = "-" + (key or attempt.path.parent.name)[:8]
        keep = {name: f"{os.path.splitext(to)[0]}{end}{os.path.splitext(to)[1]}" for name, to in keep.items()}
    for name, target in keep.items():
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        temp = Path(target).with_name(f".{Path(target).name}.{own_end}")
        try:
            temp.unlink(missing_ok=True)
            with open(attempt.path / name, "rb") as source, open(temp, "xb") as copy:
                while data := source.read(COPY_BYTES):
                    copy.write(data)
            temp.replace(target)
        finally:
            temp.unlink(missing_ok=True)
    return tuple(keep.values())


def _is_ours(attempt: AttemptFolder, name: str, keep: Mapping[str, str]) -> bool:
    """Whether the file at a target was delivered by this run. A file without a mark (a pickle, `no_metadata`) is ours
    when a file delivered with it bears our mark, or when it is the very same file: a kill came before the others."""
    own, target = mark(attempt.path / name), keep[name]
    if own or mark(target):
        return own == mark(target)
    beside = ((mark(attempt.path / each), mark(other)) for each, other in keep.items())
    return any(ours and ours == theirs for ours, theirs in beside) or _is_same(attempt.path / name, target)


def _is_same(file: Path, target: str) -> bool:
    try:
        return filecmp.cmp(file, target, shallow=False)
    except OSError:
        return False


def mark(file: str | Path) -> str:
    """The run's key that a checkpoint or training.toml bears in its `training_comment`; "" when it has none. Of a
    checkpoint only the header is read, whose length is its first eight bytes."""
    try:
        with open(file, "rb") as opened:
            start = opened.read(8)
            found = MARK.findall(start + opened.read(min(int.from_bytes(start, "little"), MARK_BYTES)))
    except OSError:
        return ""
    return found[-1].decode() if found else ""
