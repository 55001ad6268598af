"""What the benchmarks measure with, and the floor that they measure against.

Covers: CPU and wall-clock seconds of one process with its children; a 20-line posix_spawn and wait loop that starts the
same programs with nothing else; medians of alternating rounds. Not: what is measured (`__main__`).
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

ROUNDS = 5
LOOP = """
import os, sys
count, slots, argv = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
running = set()
number = 0
while number < count or running:
    while number < count and len(running) < slots:
        running.add(os.posix_spawn(argv[0], [*argv, str(number)], os.environ))
        number += 1
    pid, _ = os.wait()
    running.discard(pid)
"""
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""As users have it: compiled files are kept."""


def spawn(argv: list[str], cwd: str | Path = ".", log: str = os.devnull) -> tuple[float, float]:
    """(seconds, CPU seconds with children) of one process that succeeds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    actions = [(os.POSIX_SPAWN_OPEN, 1, log, flags, 0o666), (os.POSIX_SPAWN_DUP2, 1, 2)]
    here = Path.cwd()
    os.chdir(cwd)
    try:
        _, status = os.waitpid(os.posix_spawn(argv[0], argv, ENVIRONMENT, file_actions=actions), 0)
    finally:
        os.chdir(here)
    assert status == 0, (argv, status)
    seconds = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def ratio(ours: Callable[[], float], floor: Callable[[], float], rounds: int = ROUNDS) -> float:
    """Median of ours over median of the floor's, measured by turns so that both meet the same machine."""
    pairs = [(ours(), floor()) for _ in range(rounds)]
    return median(mine for mine, _ in pairs) / median(other for _, other in pairs)
