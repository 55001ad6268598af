"""What every strategy must do: propose each run once, none that runs or has succeeded, and go on after a kill."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path

import pytest

import automate_train.sweep.strategies
from automate_train.config.layers import Layer, merge
from automate_train.records import Attempt, Outcome, OutcomeKind, Run, Source
from automate_train.store.history import RunHistory, fold
from automate_train.sweep.product import Sweep, expand
from automate_train.sweep.record import record_of
from automate_train.sweep.selection import select
from automate_train.sweep.strategies import Strategy
from automate_train.sweep.strategies.grid import Grid

STRATEGIES: dict[str, Callable[[Sweep], Strategy]] = {
    "grid": lambda sweep: Grid(select(sweep, None, None, set()).todo())
}


def sweep(points: int) -> Sweep:
    values = {"project_name_base": "p", "trainer": "command", "a_list": list(range(points))}
    return expand(merge([Layer(Source("tuning file"), values)])[0])


def history(run: Run, kind: OutcomeKind | None, id_: int = 1, ended: float = 2.0) -> RunHistory:
    """Of a run with one attempt; `kind` None: it still runs."""
    outcome = None if kind is None else Outcome(kind)
    attempt = Attempt(id_, run.key, 1, f"{run.slug}/attempt-1", (), "", 1.0, ended if outcome else None, outcome)
    record = record_of(run)
    return fold(record._replace(attempts=(attempt,)), [])


class Asked(Mapping[str, RunHistory]):
    """Histories that remember which of them was read."""

    def __init__(self, histories: Mapping[str, RunHistory]) -> None:
        self.histories, self.keys_read = histories, list[str]()

    def __getitem__(self, key: str) -> RunHistory:
        self.keys_read.append(key)
        return self.histories[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.histories)

    def __len__(self) -> int:
        return len(self.histories)


def proposed(strategy: Strategy, histories: Mapping[str, RunHistory]) -> list[int]:
    found = []
    while (run := strategy.propose(histories)) is not None:
        found.append(run.index)
    return found


@pytest.fixture(params=sorted(STRATEGIES))
def made(request: pytest.FixtureRequest) -> Callable[[Sweep], Strategy]:
    return STRATEGIES[request.param]


def test_there_is_no_strategy_without_a_contract():
    folder = Path(automate_train.sweep.strategies.__file__).parent
    assert {path.stem for path in folder.glob("*.py")} - {"__init__"} == set(STRATEGIES)


def test_each_run_is_proposed_once(made):
    points = sweep(7)
    strategy = made(points)
    assert sorted(proposed(strategy, {})) == list(range(7))
    assert strategy.propose({}) is None, "none is left"


def test_what_is_proposed_are_runs_of_the_sweep(made):
    points = sweep(3)
    strategy = made(points)
    while (run := strategy.propose({})) is not None:
        point = points.point(run.index)
        assert isinstance(point, Run) and point.key == run.key and point.name == run.name


@pytest.mark.parametrize("kind", ["succeeded", None])
def test_a_run_that_runs_or_has_succeeded_is_not_proposed(made, kind):
    points = sweep(5)
    known = {run.key: history(run, kind) for run in islice(points, 1, 3)}
    assert sorted(proposed(made(points), known)) == [0, 3, 4]


@pytest.mark.parametrize("kind", ["failed", "lost", "cancelled", "aborted"])
def test_a_run_that_did_not_succeed_is_proposed_again(made, kind):
    points = sweep(3)
    known = {run.key: history(run, kind) for run in points}
    assert sorted(proposed(made(points), known)) == [0, 1, 2]


@pytest.mark.parametrize("ended", range(6))
def test_made_again_after_a_kill_it_goes_on(made, ended):
    """All that a strategy has learned is in the histories."""
    points = sweep(6)
    strategy, known = made(points), dict[str, RunHistory]()
    for _ in range(ended):
        run = strategy.propose(known)
        assert run is not None
        known[run.key] = history(run, "succeeded")
    begun = {known[key].record.index for key in known}
    assert sorted(proposed(made(points), known)) == sorted(set(range(6)) - begun)
    assert sorted(proposed(strategy, known)) == sorted(set(range(6)) - begun)


def test_a_plan_of_a_million_points_costs_what_is_asked_for(made):
    points = expand(
        merge([Layer(Source("t"), {"project_name_base": "p", **{f"k{n}_list": list(range(100)) for n in range(3)}})])[0]
    )
    asked = Asked({})
    began = time.perf_counter()
    strategy = made(points)
    assert all(strategy.propose(asked) for _ in range(20))
    assert time.perf_counter() - began < 0.5 and len(asked.keys_read) < 100


def test_a_grid_keeps_the_order_of_the_sweep():
    assert proposed(STRATEGIES["grid"](sweep(5)), {}) == [0, 1, 2, 3, 4]


def test_rerun_runs_again_what_succeeded_before_and_nothing_that_runs():
    """By the order of the attempts, whatever the clock says: it may have been set back."""
    points = list(sweep(4))
    known = {
        points[0].key: history(points[0], "succeeded", 7, ended=900.0),
        points[1].key: history(points[1], None, 8),
        points[2].key: history(points[2], "succeeded", 9, ended=5.0),
    }
    assert proposed(Grid(iter(points), after=7), known) == [0, 3]
