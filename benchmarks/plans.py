"""A sweep of a million points: planning it, and walking through it."""

from __future__ import annotations

import time
import tracemalloc

from automate_train.config.layers import Layer, merge
from automate_train.records import Source
from automate_train.sweep.product import Sweep, expand


def walk(sweep: Sweep) -> None:
    for point in sweep:
        point.name, point.key  # type: ignore[union-attr]  # noqa: B018


def million() -> dict[str, float]:
    values = {"project_name_base": "p", **{f"{name}_list": list(range(100)) for name in "abc"}}
    settings = merge([Layer(Source("bench"), values)])[0]
    began = time.perf_counter()
    sweep = expand(settings)
    _ = [sweep.point(index) for index in range(12)]
    planned = time.perf_counter() - began
    began = time.perf_counter()
    walk(sweep)
    walked = time.perf_counter() - began
    tracemalloc.start()
    walk(expand({**settings, **merge([Layer(Source("bench"), {"a_list": list(range(10))})])[0]}))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return {
        "plan of 10^6 points, ms": planned * 1000,
        "all names and keys of 10^6 points, s": walked,
        "memory that grows meanwhile (10^5 points), MiB": peak / 2**20,
    }
