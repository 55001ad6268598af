"""Pictures that came after a training's end, brought into its trackers by the trainer's own Python.

Covers: when an attempt's own backfill script (`hook/hook_backfill_images.py`) is to be run, one at a time beside
everything else. Its failure is told and never fatal. Not: which pictures it logs (it knows itself).
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from ..store.files import read_json, write
from ..store.launch import read_launch
from ..store.layout import AttemptFolder

LIMIT = 900.0


class Late:
    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._queue: list[Path] = []
        self._known: set[Path] = set()
        self._now: tuple[subprocess.Popen[str], Path, int, float] | None = None

    def ask(self, attempt: Path) -> None:
        """The attempt has ended and its samples are final; asking twice is fine."""
        if attempt not in self._known:
            self._known.add(attempt)
            if count(attempt) != logged(attempt) and has_trackers(attempt):
                self._queue.append(attempt)

    @property
    def busy(self) -> bool:
        return bool(self._queue) or self._now is not None

    def step(self) -> None:
        if self._now is not None:
            process, attempt, pictures, began = self._now
            if process.poll() is None and time.monotonic() - began < LIMIT:
                return
            process.kill()
            said = process.communicate()[0].strip().splitlines()
            ended = f"logging late pictures ended with {process.returncode}"
            self._say(f"{attempt.parent.name}: {said[-1] if said else ended}")
            if process.returncode == 0:
                write(AttemptFolder(attempt).logged, f"{pictures}\n")
            self._now = None
        if self._queue:
            self._start(self._queue.pop(0))

    def stop(self) -> None:
        if self._now is not None:
            self._now[0].kill()
            self._now[0].communicate()
            self._now = None

    def _start(self, attempt: Path) -> None:
        pictures = count(attempt)
        launch = read_launch(AttemptFolder(attempt))
        null, pipe = subprocess.DEVNULL, subprocess.PIPE
        try:
            process = subprocess.Popen(
                [*launch.argv[:1], str(script(attempt))],
                cwd=launch.cwd, env={**os.environ, **launch.env}, text=True, stdin=null, stdout=pipe, stderr=null,
            )  # fmt: skip
        except (OSError, ValueError) as error:
            self._say(f"{attempt}: late pictures could not be logged: {error}")
            return
        self._now = process, attempt, pictures, time.monotonic()


def count(attempt: Path) -> int:
    """Samples that were made so far."""
    return sum(1 for _ in AttemptFolder(attempt).samples.glob("*.json"))


def logged(attempt: Path) -> int:
    try:
        return int(AttemptFolder(attempt).logged.read_text())
    except (OSError, ValueError):
        return 0


def script(attempt: Path) -> Path | None:
    return next((attempt / name for name in AttemptFolder.BACKFILL if (attempt / name).is_file()), None)


def has_trackers(attempt: Path) -> bool:
    settings = read_json(AttemptFolder(attempt).hook) or {}
    return bool(settings.get("trackers")) and script(attempt) is not None
