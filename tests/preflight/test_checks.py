"""What is said of the runs of a sweep, once and not for each run."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest

from automate_train.config.layers import Layer, built_in, merge
from automate_train.errors import Problem
from automate_train.preflight import checks, disk
from automate_train.records import Run, Source, SweepContext
from automate_train.sweep.product import expand
from automate_train.sweep.selection import select


def warning(message: str) -> Problem:
    return Problem("warning", "t.json", "n", message)


@pytest.fixture
def found(monkeypatch, tmp_path):
    """The problems of runs whose trainer says `problems(n)` of the run with the value `n`, and takes n bytes."""

    def check(problems: Callable[[int], list[Problem]], count: int) -> list[str]:
        def of(run: Run, context: SweepContext) -> list[Problem]:
            return problems(int(str(run.options["n"].value)))

        trainer = SimpleNamespace(problems=of, disk_bytes=lambda run, context: (0, 0), needs_gpu=lambda run: False)
        for module in (checks, disk):
            monkeypatch.setattr(module, "load", lambda name: trainer)
        values = {"project_name_base": "p", "n_list": list(range(count))}
        sweep = expand(merge([built_in(), Layer(Source("tuning file", "t.json"), values)])[0])
        selection = select(sweep, None, None, set())
        return [str(each) for each in checks.check(selection, SweepContext(str(tmp_path / "o"), "p"), None)]

    return check


def test_a_problem_of_each_of_thousands_of_values_is_one_line(found):
    lines = found(lambda n: [warning(f"rate 5e-05 is larger than {n / 1000} at {n}e-7"), warning("is odd")], 4000)
    assert lines == [
        "t.json: n: rate 5e-05 is larger than 0.0 at 0e-7; and with other values in 3,999 more runs: 1, 2, 3, ...",
        "t.json: n: is odd",
    ]


def test_a_few_values_are_told_one_by_one(found):
    assert found(lambda n: [warning(f"{n} is odd")] if n % 2 else [], 6) == [
        f"t.json: n: {n} is odd" for n in (1, 3, 5)
    ]
    [line] = found(lambda n: [warning(f"{n} is odd")] if n % 2 else [], 8)
    assert line == "t.json: n: 1 is odd; and with other values in 3 more runs: 3, 5, 7"


def test_what_differs_by_its_words_or_is_of_one_run_is_told_whole(found):
    words = ["red", "green", "blue", "black", "white"]
    assert len(found(lambda n: [warning(f"{words[n]} is no rate")], 5)) == 5
    assert len(found(lambda n: [warning(f"line {line} cannot be read") for line in range(9)], 5)) == 9
