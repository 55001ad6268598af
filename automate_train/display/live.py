"""A sweep while it runs, as a table in a terminal: devices, runs with their progress, the time that is left.

Covers: the table below the lines of `plain`, how long the sweep will take, which of both displays is used. Not:
deciding anything; when it is drawn (`training.loop`).
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Sequence
from math import inf
from typing import TYPE_CHECKING, Any

from ..config.masking import Masker
from ..records import GIB, Device
from ..training.running_attempt import RunningAttempt
from .plain import Plain, duration

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

REFRESH = 2.0
"""Seconds between two drawings: often enough for training, and under 1 % of a core."""


def choose(plain: bool, slots: int, masker: Masker) -> Plain:
    """The live table where there is a terminal and nobody asked for lines."""
    return (Plain if plain or not sys.stdout.isatty() else LiveTable)(slots, masker)


class LiveTable(Plain):
    """The live table below the lines of `Plain`."""

    every = REFRESH

    def __init__(self, slots: int = 1, masker: Masker = Masker()) -> None:  # noqa: B008  # it is frozen
        super().__init__(slots, masker)
        self.live: Live | None = None
        self.drawn = -inf
        self.running: list[int] = []

    def _print(self, line: str) -> None:
        if self.live is None:
            super()._print(line)
        else:
            self.live.console.print(line, markup=False, highlight=False)

    def due(self, active: Sequence[RunningAttempt]) -> bool:
        running = [each.id for each in active]
        return running != self.running or time.monotonic() - self.drawn >= REFRESH * 0.9

    def draw(self, active: Sequence[RunningAttempt], devices: Sequence[Device], left: int) -> None:
        self.drawn, self.running = time.monotonic(), [each.id for each in active]
        with contextlib.suppress(OSError, ValueError):
            if self.live is None:
                from rich.live import Live  # 20 ms: after the first run was started

                self.live = Live(auto_refresh=False, transient=True)
                self.live.start()
            self.live.update(self._drawing(active, devices, left), refresh=True)

    def close(self) -> None:
        if self.live is not None:
            with contextlib.suppress(OSError, ValueError):
                self.live.stop()
            self.live = None

    def _drawing(self, active: Sequence[RunningAttempt], devices: Sequence[Device], left: int) -> Any:
        from rich.console import Group
        from rich.text import Text

        parts: list[Any] = [_devices(active, devices)] if devices else []
        parts += [_runs(active), Text(self._foot(active, left), style="dim")]
        return Group(*parts)

    def _foot(self, active: Sequence[RunningAttempt], left: int) -> str:
        text = f"{len(active)} running, {left} to come"
        if (seconds := sweep_seconds_left(active, self.durations, left, self.slots)) is not None:
            text += f", about {duration(seconds)} left"
        return f"{text}   (Ctrl-C: finish what runs; twice: end it)"


def sweep_seconds_left(active: Sequence[RunningAttempt], durations: list[float], left: int, slots: int) -> float | None:
    """Seconds until the whole sweep ends: from the durations of finished runs or, before there are any, from what the
    running ones expect. None when nothing is known yet."""
    now = time.monotonic()
    expected = [(now - each.began, each.progress.seconds_left) for each in active]
    known = [(gone + rest, rest) for gone, rest in expected if rest is not None]
    whole = durations or [total for total, _ in known]
    if not whole or (active and not known and not durations):
        return None
    mean = sum(whole) / len(whole)
    rests = [rest if rest is not None else max(0.0, mean - gone) for gone, rest in expected]
    return max(sum(rests) / max(1, slots) + left * mean / max(1, slots), max(rests, default=0.0))


def _devices(active: Sequence[RunningAttempt], devices: Sequence[Device]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("device", "free", "run"):
        table.add_column(title, justify="right" if title == "free" else "left")
    for device in devices:
        runs = ", ".join(each.label for each in active if device.id in each.devices)
        free = "lost" if device.lost else f"{device.free / GIB:.1f} GiB"
        table.add_row(device.label, free, runs or device.note)
    return table


def _runs(active: Sequence[RunningAttempt]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("run", "epoch", "step", "loss", "speed", "left"):
        table.add_column(title, justify="left" if title == "run" else "right", no_wrap=title != "run")
    for each in active:
        progress = each.progress
        epochs = f"{progress.epoch}/{progress.epochs}" if progress.epochs else ""
        loaded = progress.total and progress.training_since is not None
        steps = f"{progress.step}/{progress.total}" if loaded else "loading"
        steps = f"waits: {each.in_queue}" if each.in_queue else steps
        loss = f"{progress.loss:.4g}" if progress.loss is not None else ""
        speed = f"{progress.speed:.3g}/s" if progress.speed else ""
        rest = duration(progress.seconds_left) if progress.seconds_left is not None else ""
        rest = "waits for samples" if progress.sample_wait else rest
        table.add_row(Text(f"{each.label.removeprefix('run ')} {each.name}"), epochs, steps, loss, speed, rest)
    return table
