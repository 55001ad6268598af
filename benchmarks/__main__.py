"""What automate-train itself costs: `python -m benchmarks [--json FILE] [PART...]`.

Parts: start_up, first_start, cpu, gaps, million, live.

Ratios are against a floor measured in the same run (`floor`), medians of alternating rounds; absolute times lie on
shared machines. Not measured here: training, GPUs.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

from . import display, plans, sweeps
from .floor import ratio, spawn

REACH = {
    "--help / python -c pass": 2.5,
    "--version / python -c pass": 1.5,
    "first run started / floor": 3.0,
    "200 runs of /bin/true, CPU / floor": 3.5,
    "24 x 0.5 s over 4 slots, makespan / ideal": 1.03,
    "end to next start, median / floor": 3.0,
    "end to next start, p95 / floor": 3.0,
    "end to next start, p95, ms": 8.0,
    "plan of 10^6 points, ms": 50.0,
    "all names and keys of 10^6 points, s": 2.0,
    "memory that grows meanwhile (10^5 points), MiB": 16.0,
    "8 runs with the live table, % of a core": 1.0,
    "8 runs with the live table, MiB": 40.0,
}
"""What we want at most; lines without a number are there to compare with."""


def start_up() -> dict[str, float]:
    def one(*argv: str) -> Callable[[], float]:
        return lambda: spawn([sys.executable, *argv])[0]

    found = {}
    for flag in ("--help", "--version"):
        found[f"{flag} / python -c pass"] = ratio(one("-m", "automate_train", flag), one("-c", "pass"), 15)
    return found


def main() -> None:
    words = [word for word in sys.argv[1:] if not word.startswith("--") and not word.endswith(".json")]
    table: dict[str, float] = {}
    for part in (start_up, sweeps.first_start, sweeps.cpu, sweeps.gaps, plans.million, display.live):
        if words and not any(word in part.__name__ for word in words):
            continue
        for name, value in part().items():
            table[name] = round(value, 3)
            reach = REACH.get(name)
            mark = "" if reach is None else f"reach {reach:g}" + ("" if value <= reach else "   MISSED")
            print(f"{name:<50} {value:8.2f}   {mark}".rstrip(), flush=True)
    text = json.dumps(table, indent=1)
    if "--json" in sys.argv:
        Path(sys.argv[sys.argv.index("--json") + 1]).write_text(text + "\n")
    else:
        print(text)


main()
