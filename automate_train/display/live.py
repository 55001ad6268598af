"""What a person sees while a sweep runs: a live table in a terminal, plain lines elsewhere.

Covers: both displays (`training.loop.Display`). Not: deciding anything; a display that cannot be written to (a closed
terminal, a full log disk) is silent, because the sweep goes on without it.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Sequence
from math import inf
from typing import TYPE_CHECKING, Any

from ..records import GIB, Device, Outcome, Run
from ..training.running_attempt import RunningAttempt

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

REFRESH = 2.0
"""Seconds between two pictures of the live table: often enough for training, and under 1 % of a core."""


class Plain:
    """One line with a time for each change of state; nothing is drawn over, so nothing is lost in a log."""

    every = 5.0
    """Seconds: so often checkpoints and losses are read from the attempts' folders."""

    def __init__(self, slots: int = 1) -> None:
        self.slots = slots
        self.durations: list[float] = []

    def say(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            print(f"[{time.strftime('%H:%M:%S')}] {text}", flush=True)

    def started(self, active: RunningAttempt) -> None:
        where = f" on {active.device_labels}" if active.device_labels else ""
        again = f" (attempt {active.number})" if active.number > 1 else ""
        self.say(f"{active.label} {active.name}: started{where}{again}")

    def ended(self, active: RunningAttempt, outcome: Outcome, seconds: float) -> None:
        if outcome.kind == "succeeded":
            self.durations.append(seconds)
        loss = f", loss {active.progress.loss:.4g}" if active.progress.loss is not None else ""
        reason = f": {outcome.reason}" if outcome.reason else ""
        self.say(f"{active.label} {active.name}: {outcome.kind} after {duration(seconds)}{loss}{reason}")

    def waits(self, run: Run, why: str) -> None:
        self.say(f"run {run.number} waits: {why}")

    def due(self, active: Sequence[RunningAttempt]) -> bool:
        """Whether it is time to draw; there is nothing to draw here."""
        return False

    def draw(self, active: Sequence[RunningAttempt], devices: Sequence[Device], left: int) -> None:
        pass

    def close(self) -> None:
        pass


class LiveTable(Plain):
    """The live table below the lines of `Plain`."""

    every = REFRESH

    def __init__(self, slots: int = 1) -> None:
        super().__init__(slots)
        self.live: Live | None = None
        self.drawn = -inf
        self.running: list[int] = []

    def say(self, text: str) -> None:
        if self.live is None:
            super().say(text)
        else:
            with contextlib.suppress(OSError, ValueError):
                self.live.console.print(f"[{time.strftime('%H:%M:%S')}] {text}", markup=False, highlight=False)

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
            self.live.update(self._picture(active, devices, left), refresh=True)

    def close(self) -> None:
        if self.live is not None:
            with contextlib.suppress(OSError, ValueError):
                self.live.stop()
            self.live = None

    def _picture(self, active: Sequence[RunningAttempt], devices: Sequence[Device], left: int) -> Any:
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
    """Seconds until the whole sweep ends, from finished runs' durations or, before any, from what the running ones
    expect; None when nothing is known yet."""
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
        steps = f"{progress.step}/{progress.total}" if progress.total else "loading"
        loss = f"{progress.loss:.4g}" if progress.loss is not None else ""
        speed = f"{progress.speed:.3g}/s" if progress.speed else ""
        rest = duration(progress.seconds_left) if progress.seconds_left is not None else ""
        table.add_row(Text(f"{each.label.removeprefix('run ')} {each.name}"), epochs, steps, loss, speed, rest)
    return table


def duration(seconds: float) -> str:
    """`48 s`, `12 min 5 s`, `3 h 4 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def choose(plain: bool, slots: int) -> Plain:
    """The live table where there is a terminal and nobody asked for lines."""
    return Plain(slots) if plain or not sys.stdout.isatty() else LiveTable(slots)
