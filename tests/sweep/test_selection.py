"""Which points a command is about: ranges, a first index, what is done."""

from __future__ import annotations

import pytest

from automate_train.config.layers import Layer, merge
from automate_train.errors import UserError
from automate_train.records import Source
from automate_train.sweep.product import Sweep, expand
from automate_train.sweep.selection import EVERY_RUN, select


def sweep(points: int, **values: object) -> Sweep:
    layer = Layer(Source("tuning file"), {"project_name_base": "p", "a_list": list(range(points)), **values})
    return expand(merge([layer])[0])


@pytest.mark.parametrize(
    ("only", "first", "indexes"),
    [
        (None, None, range(10)),
        (None, 7, [7, 8, 9]),
        ([range(5, 8), range(2), range(6, 9)], None, [0, 1, 5, 6, 7, 8]),
        ([range(5, 8), range(2)], 6, [6, 7]),
        ([range(2)], 6, []),
    ],
)
def test_ranges_and_a_first_index(only, first, indexes):
    selection = select(sweep(10), only, first, set())
    assert [point.index for point in selection.chosen()] == list(indexes)
    assert selection.left() == len(list(indexes)) and selection.known_done() == 0


@pytest.mark.parametrize(
    ("only", "first", "flag"), [([range(9, 11)], None, "--only"), (None, 10, "--skip_to_index"), (None, 11, "--skip")]
)
def test_an_index_that_the_sweep_does_not_have(only, first, flag):
    with pytest.raises(UserError, match=f"{flag}.*the sweep has the indexes 0 to 9"):
        select(sweep(10), only, first, set())


def test_what_is_done_or_dropped_is_chosen_and_not_to_do():
    points = sweep(5, exclude=["a == 3"])
    done = {next(iter(points)).key}
    selection = select(points, None, None, done)
    assert [point.index for point in selection.chosen()] == [0, 1, 2, 3, 4]
    assert [run.index for run in selection.todo()] == [1, 2, 4]
    assert (selection.left(), selection.known_done()) == (3, 1)


def test_examples_are_all_runs_of_a_small_sweep_and_each_value_of_a_large_one():
    small = select(sweep(4), [range(2)], None, set())
    assert not small.is_large and [run.index for run in small.examples()] == [0, 1]
    large = select(sweep(EVERY_RUN + 1, b_list=[1, 2]), None, None, set())
    examples = list(large.examples())
    assert large.is_large and {run.options["a"].value for run in examples} == set(range(EVERY_RUN + 1))
    assert {run.options["b"].value for run in examples} == {1, 2} and len(examples) < 1.1 * EVERY_RUN
