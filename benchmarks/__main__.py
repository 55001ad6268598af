"""What automate-train itself costs, as ratios against a floor measured in the same run.

Covers: start-up, 200 short runs over 4 slots (CPU and makespan), a plan of a million points. The floor for runs is a
20-line posix_spawn and wait loop. Not: absolute times, which lie on shared machines; GPU work.
Usage: python -m benchmarks [--json FILE]. Medians of alternating rounds.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

ROUNDS = 5
RUNS, SLOTS = 200, 4


def spawn(argv: list[str], cwd: str | None = None) -> tuple[float, float]:
    """(seconds, CPU seconds with children) of one process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    devnull = os.open(os.devnull, os.O_RDWR)
    actions = [(os.POSIX_SPAWN_DUP2, devnull, 1), (os.POSIX_SPAWN_DUP2, devnull, 2)]
    here = Path.cwd()
    os.chdir(cwd or here)
    _, status = os.waitpid(os.posix_spawn(argv[0], argv, os.environ, file_actions=actions), 0)
    os.chdir(here)
    os.close(devnull)
    assert status == 0, (argv, status)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - began, cpu


FLOOR = """
import os, sys
count, slots, argv = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
running = set()
while count or running:
    while count and len(running) < slots:
        running.add(os.posix_spawn(argv[0], argv, os.environ))
        count -= 1
    pid, _ = os.wait()
    running.discard(pid)
"""


def ratio(ours: Callable[[], float], floor: Callable[[], float]) -> float:
    pairs = [(ours(), floor()) for _ in range(ROUNDS)]
    return median(a for a, _ in pairs) / median(b for _, b in pairs)


def start_up() -> dict[str, float]:
    def one(*argv: str) -> Callable[[], float]:
        return lambda: spawn([sys.executable, *argv])[0]

    return {
        "--help / python -c pass": ratio(one("-m", "automate_train", "--help"), one("-c", "pass")),
        "--version / python -c pass": ratio(one("-m", "automate_train", "--version"), one("-c", "pass")),
    }


def runs(count: int, command: list[str]) -> tuple[float, float]:
    """(seconds, CPU seconds) of a sweep of `count` runs of the command trainer over four slots."""
    with tempfile.TemporaryDirectory() as folder:
        config = {
            "project_name_base": "bench",
            "trainer": "command",
            "command": [*command, "{n}"] if command[0] == "/bin/true" else command,
            "n_list": list(range(count)),
            "temp_dir": folder,
        }
        if command[0] != "/bin/true":
            config["command"] = ["/bin/sh", "-c", " ".join(command), "{n}"]
        file = Path(folder, "bench.json")
        file.write_text(json.dumps(config))
        argv = [
            sys.executable,
            "-m",
            "automate_train",
            "--tuning_config_path",
            str(file),
            "--cpu",
            str(SLOTS),
            "--plain",
        ]
        return spawn(argv, cwd=folder)


def floor(count: int, command: list[str]) -> tuple[float, float]:
    return spawn([sys.executable, "-c", FLOOR, str(count), str(SLOTS), *command])


def many_runs() -> dict[str, float]:
    true = ["/bin/true"]
    cpu = ratio(lambda: runs(RUNS, true)[1], lambda: floor(RUNS, true)[1])
    makespan = median(runs(24, ["exec", "sleep", "0.5"])[0] for _ in range(3)) / (24 / SLOTS * 0.5)
    return {"200 runs of /bin/true, CPU a run / floor": cpu, "24 x 0.5 s over 4 slots, makespan / ideal": makespan}


def million_points() -> dict[str, float]:
    from automate_train.config import Layer, Source, merge
    from automate_train.sweep import expand

    values = {"project_name_base": "p", **{f"{name}_list": list(range(100)) for name in "abc"}}
    settings = merge([Layer(Source("x"), values)])[0].settings
    began = time.perf_counter()
    sweep = expand(settings)
    _ = [sweep.point(index) for index in range(12)]
    planned = time.perf_counter() - began
    began = time.perf_counter()
    for point in sweep:
        point.name, point.key  # type: ignore[union-attr]  # noqa: B018
    streamed = time.perf_counter() - began
    return {"plan of 10^6 points, ms": planned * 1000, "streaming all names and keys, s": streamed}


def main() -> None:
    table = {**start_up(), **many_runs(), **million_points()}
    for name, value in table.items():
        print(f"{name:<45} {value:8.2f}")
    if "--json" in sys.argv:
        Path(sys.argv[sys.argv.index("--json") + 1]).write_text(json.dumps(table, indent=1))


main()
