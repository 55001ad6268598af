"""Sweeps of the command trainer: CPU a run, time to the first start, makespan, gaps between an end and the next start.

The programs write down themselves when they start and end.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles

from .floor import LOOP, ratio, spawn

SLOTS = 4
STAMP = ["/bin/bash", "-c", 'echo $EPOCHREALTIME >"$0/start-$1"']
"""File times are only as fine as the kernel's tick (often 4 ms); bash's clock is built in."""


@contextmanager
def sweep(count: int, command: list[str]) -> Iterator[tuple[list[str], Path]]:
    """(command line, folder) of a sweep of `count` runs; the run's number is the program's last argument."""
    with tempfile.TemporaryDirectory() as folder:
        config = {
            "project_name_base": "bench", "trainer": "command", "command": [*command, "{n}"],
            "n_list": list(range(count)), "temp_dir": folder,
        }  # fmt: skip
        file = Path(folder, "bench.json")
        file.write_text(json.dumps(config))
        flags = ["--tuning_config_path", str(file), "--cpu", str(SLOTS), "--plain"]
        yield [sys.executable, "-m", "automate_train", *flags], Path(folder)


def ours(count: int, command: list[str]) -> tuple[float, float]:
    with sweep(count, command) as (argv, folder):
        return spawn(argv, folder)


def floors(count: int, command: list[str]) -> tuple[float, float]:
    return spawn([sys.executable, "-c", LOOP, str(count), str(SLOTS), *command])


def parallels(count: int, command: list[str]) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as folder:
        program = [shutil.which("parallel") or "", "-j", str(SLOTS), "--joblog", f"{folder}/log", *command]
        return spawn([*program, ":::", *map(str, range(count))])


def cpu() -> dict[str, float]:
    true = ["/bin/true"]

    def a_run(measure: Callable[[int, list[str]], tuple[float, float]]) -> Callable[[], float]:
        return lambda: (measure(400, true)[1] - measure(200, true)[1]) / 200

    found = {
        "200 runs of /bin/true, CPU / floor": ratio(lambda: ours(200, true)[1], lambda: floors(200, true)[1]),
        "one more run of /bin/true, CPU / floor": ratio(a_run(ours), a_run(floors)),
    }
    if shutil.which("parallel"):
        name = "GNU parallel --joblog, 200 runs, CPU / floor"
        found[name] = ratio(lambda: parallels(200, true)[1], lambda: floors(200, true)[1], 3)
    return found


def stamps(folder: str | Path, kind: str) -> list[float]:
    """Seconds since 1970, sorted, as the programs wrote them down."""
    return sorted(float(file.read_text().replace(",", ".")) for file in Path(folder).glob(f"{kind}-*"))


def first_start() -> dict[str, float]:
    def mine() -> float:
        with tempfile.TemporaryDirectory() as marks, sweep(1, [*STAMP, marks]) as (argv, _):
            return since(argv, marks)

    def other() -> float:
        with tempfile.TemporaryDirectory() as marks:
            return since([sys.executable, "-c", LOOP, "1", str(SLOTS), *STAMP, marks], marks)

    def since(argv: list[str], marks: str) -> float:
        began = time.time()
        spawn(argv, marks)
        return stamps(marks, "start")[0] - began

    return {"first run started / floor": ratio(mine, other, 9)}


def gaps() -> dict[str, float]:
    """24 runs of half a second: first start to last end over the ideal; for each start but the first four, the time
    since the earliest end that no start has answered yet."""
    count, seconds = 24, 0.5
    command = [*STAMP[:2], f'{STAMP[2]}; sleep {seconds}; echo $EPOCHREALTIME >"$0/end-$1"']

    def between(marks: str) -> list[float]:
        starts, ends = stamps(marks, "start"), stamps(marks, "end")
        assert len(starts) == len(ends) == count
        return [(start - end) * 1000 for start, end in zip(starts[SLOTS:], ends, strict=False)]

    whole, spans, mine, other = [], [], [], []
    for _ in range(3):
        with tempfile.TemporaryDirectory() as marks:
            whole.append(ours(count, [*command, marks])[0])
            spans.append(stamps(marks, "end")[-1] - stamps(marks, "start")[0])
            mine += between(marks)
        with tempfile.TemporaryDirectory() as marks:
            floors(count, [*command, marks])
            other += between(marks)
    return {
        "24 x 0.5 s over 4 slots, makespan / ideal": median(spans) / (count / SLOTS * seconds),
        "the same from command to prompt / ideal": median(whole) / (count / SLOTS * seconds),
        "end to next start, median / floor": median(mine) / median(other),
        "end to next start, p95 / floor": quantiles(mine, n=20)[-1] / quantiles(other, n=20)[-1],
        "end to next start, p95, ms": quantiles(mine, n=20)[-1],
    }
