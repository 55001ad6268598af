"""Pictures that came after a training's end, brought into its trackers by the trainer's own Python.

Covers: when an attempt's backfill script (`hook/hook_backfill_images.py`) is run: once its samples are final, one
attempt at a time, while everything else goes on. A failure is told and never fatal. Not: which pictures are missing in
which tracker (the script finds out).
"""

from __future__ import annotations

import os
import subprocess
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..config.sampling_options import trainer_environment
from ..store.files import read_json, write
from ..store.launch import read_launch
from ..store.layout import AttemptFolder

LONGEST = 900.0
"""Seconds for one attempt."""


@dataclass(frozen=True)
class Running:
    process: subprocess.Popen[str]
    attempt: Path
    pictures: int
    began: float


class TrackerBackfill:
    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._waiting: deque[Path] = deque()
        self._added: set[Path] = set()
        self._running: Running | None = None

    def add(self, attempt: Path) -> None:
        """The attempt has ended and its samples are final; a second call changes nothing."""
        if attempt not in self._added:
            self._added.add(attempt)
            if _count(attempt) != _logged(attempt) and _has_trackers(attempt):
                self._waiting.append(attempt)

    @property
    def is_busy(self) -> bool:
        return bool(self._waiting) or self._running is not None

    def step(self) -> None:
        if self._running is not None:
            if self._running.process.poll() is None and time.monotonic() - self._running.began < LONGEST:
                return
            self._end(self._running)
            self._running = None
        if self._waiting:
            self._running = self._start(self._waiting.popleft())

    def stop(self) -> None:
        if self._running is not None:
            self._running.process.kill()
            self._running.process.communicate()
            self._running = None

    def _start(self, attempt: Path) -> Running | None:
        pictures, launch = _count(attempt), read_launch(AttemptFolder(attempt))
        try:
            process = subprocess.Popen(
                [*launch.argv[:1], str(_script(attempt))],
                cwd=launch.cwd,
                env={**trainer_environment(os.environ), **launch.env},
                text=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        except (OSError, ValueError) as error:
            self._say(f"{attempt}: late pictures could not be logged: {error}")
            return None
        return Running(process, attempt, pictures, time.monotonic())

    def _end(self, running: Running) -> None:
        running.process.kill()
        said = running.process.communicate()[0].strip().splitlines()
        ended = f"logging late pictures ended with {running.process.returncode}"
        self._say(f"{running.attempt.parent.name}: {said[-1] if said else ended}")
        if running.process.returncode == 0:
            write(AttemptFolder(running.attempt).logged, f"{running.pictures}\n")


def _count(attempt: Path) -> int:
    """Samples that were made so far."""
    return sum(1 for _ in AttemptFolder(attempt).samples.glob("*.json"))


def _logged(attempt: Path) -> int:
    try:
        return int(AttemptFolder(attempt).logged.read_text())
    except (OSError, ValueError):
        return 0


def _script(attempt: Path) -> Path | None:
    return next((attempt / name for name in AttemptFolder.BACKFILL if (attempt / name).is_file()), None)


def _has_trackers(attempt: Path) -> bool:
    settings = read_json(AttemptFolder(attempt).hook) or {}
    return bool(settings.get("trackers")) and _script(attempt) is not None
