"""The nouns between the plan and the machine: Site, Cache, Launch, Attempt, Outcome, Event.

Covers: data only; a Launch says everything that will happen and nothing has happened yet.
Not: who writes them (`trainers/*`), obeys them (`folder`, `executors/*`) or decides on them (`placement`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["succeeded", "failed", "cancelled", "aborted", "lost"]


@dataclass(frozen=True)
class Site:
    """What a trainer may know of the machine when it prepares a run; the same for all runs of a sweep."""

    temp_dir: str
    project: str
    slots: int = 1
    """Runs at a time: the data loaders' workers share the cores by it."""
    cores: int = 1
    cpu: bool = False
    """No GPU is used: the run trains on the CPU, whatever device numbers its config names."""


@dataclass(frozen=True)
class Cache:
    """A folder of links to pictures, shared by the runs that may share cached latents (facts: upstream's cache files
    know neither resolution nor VAE). Exactly one run fills it; the others wait."""

    path: str
    links: Mapping[str, str]
    """Name inside `path` -> absolute target."""


@dataclass(frozen=True)
class Launch:
    """One attempt as data: `--dry-run` prints it, tests compare it, an executor obeys it."""

    argv: tuple[str, ...]
    cwd: str
    env: Mapping[str, str] = field(default_factory=dict)
    """Added to the inherited environment; written to launch.json."""
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Added to the environment too; written nowhere."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Path inside the attempt's folder -> text."""
    gpus: int = 0
    """How many devices, never which ones: those are placement's business."""
    keep: Mapping[str, str] = field(default_factory=dict)
    """Path inside the attempt's folder -> absolute path to copy it to after success."""
    caches: tuple[Cache, ...] = ()


@dataclass(frozen=True)
class Attempt:
    """One start of a run. `handle` is (pid, start time in clock ticks since boot, boot id): together never reused."""

    run_key: str
    number: int
    folder: str
    devices: tuple[str, ...]
    handle: tuple[int, int, str]
    started: float
    """Seconds since 1970, for people; durations are taken from the monotonic clock."""


@dataclass(frozen=True)
class Outcome:
    kind: Kind
    exit_code: int | None = None
    reason: str = ""
    cause: str = ""
    """Its name in `reasons`; empty where nobody looked for one."""


@dataclass(frozen=True)
class Event:
    """One line of events.jsonl. Kinds: begin, training, metrics, checkpoint, end, trouble (see `hook/run.py`)."""

    at: float
    kind: str
    data: Mapping[str, Any]
