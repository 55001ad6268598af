"""Expansion: order, names, keys, zip, exclude, repeats, and a million points."""

from __future__ import annotations

import itertools
import re
import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automate_train.config.layers import Layer, merge
from automate_train.errors import UserError
from automate_train.records import Dropped, Run, Source
from automate_train.sweep.product import Sweep, expand


def sweep(**values: object) -> Sweep:
    return expand(merge([Layer(Source("tuning file", "t.json"), {"project_name_base": "p", **values})])[0])


def runs(made: Sweep) -> list[Run]:
    return [point for point in made if isinstance(point, Run)]


def dropped(made: Sweep) -> dict[int, str]:
    return {point.index: point.reason for point in made if isinstance(point, Dropped)}


def test_the_product_in_file_order_the_last_fastest():
    made = sweep(unet_lr_list=[1e-4, 4e-4], seed_list=[42], clip_skip_list=[1, 2])
    assert [run.name for run in runs(made)] == [
        "p_unet_lr=0.0001_clip_skip=1",
        "p_unet_lr=0.0001_clip_skip=2",
        "p_unet_lr=0.0004_clip_skip=1",
        "p_unet_lr=0.0004_clip_skip=2",
    ]
    run = made.point(2)
    assert isinstance(run, Run)
    assert (run.index, run.options["seed"].value, run.varied) == (2, 42, {"unet_lr": "0.0004", "clip_skip": "1"})
    assert "seed" not in run.varied and run.options["unet_lr"].written == "unet_lr"


def test_zip_moves_lists_together_where_the_first_stands():
    made = sweep(a_list=[1, 2], dim_list=[4, 8], b_list=[0, 1], alpha_list=[2, 4], zip=[["dim_list", "alpha"]])
    assert made.size == 8
    assert [run.name for run in runs(made)][:3] == [
        "p_a=1_dim=4_alpha=2_b=0",
        "p_a=1_dim=4_alpha=2_b=1",
        "p_a=1_dim=8_alpha=4_b=0",
    ]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"a_list": []}, "a_list: is an empty list"),
        ({"a_list": 3}, "a_list: must be a list, for example"),
        ({"a_list": "[1e-4 2e-4]"}, "a_list: must be a list, for example [1, 2], not '[1e-4 2e-4]' (is a comma, "),
        ({"a_list": "4,8"}, "a_list: must be a list, for example [1, 2], not '4,8' (write [4,8])"),
        ({"a_list": [1, 2], "b_list": [1], "zip": [["a_list", "b_list"]]}, "a_list has 2, b_list has 1"),
        ({"a_list": [1, 2], "zip": [["a_list", "nope"]]}, "this sweep has no list nope"),
        ({"a_list": [1, 2], "zip": 3}, "must be a list of lists of keys"),
        ({"temp_dir_list": ["a", "b"]}, "whole sweep"),
        ({"exclude": "nope > 1"}, "names nope"),
        ({"exclude": "__import__('os')"}, "Call, which is not allowed"),
        ({"exclude": [1]}, "must be a list of expressions"),
        ({"project_name_base": ""}, "must be the sweep's name"),
        ({"project_name_base": "a/b"}, "may not hold '/'"),
        ({"project_name_base": 3}, "must be the sweep's name"),
    ],
)
def test_what_makes_no_sweep_is_said_in_words(values: dict[str, object], words: str):
    with pytest.raises(UserError) as error:
        sweep(**values)
    assert words in str(error.value) and "t.json" in str(error.value)


def test_exclude_drops_points_that_keep_their_index():
    made = sweep(network_dim_list=[4, 8], network_alpha_list=[4, 8], exclude=["network_alpha > network_dim"])
    assert dropped(made) == {1: "excluded by `network_alpha > network_dim`"}
    assert [run.index for run in runs(made)] == [0, 2, 3]


def test_equal_points_run_once():
    made = sweep(lr_list=[1e-4, 2e-4, 0.0001], x_list=[1, 1.0])
    assert [run.index for run in runs(made)] == [0, 2]
    assert "run 0" in dropped(made)[5] and "run 2" in dropped(made)[3]
    assert set(dropped(sweep(a=1, port_list=[1, 2]))) == {1}, "a port changes no model"


def test_a_key_does_not_depend_on_how_a_point_is_written():
    scalar, one, two = sweep(b=2, a=1), sweep(a_list=[1], b=2), sweep(b_list=[3, 2], a_list=[1.0, 5])
    keys = {run.key for run in runs(two)}
    assert runs(scalar)[0].key == runs(one)[0].key in keys and len(keys) == 4
    assert runs(sweep(a=1, b=2, port=7, log_with="wandb", c=None))[0].key == runs(scalar)[0].key


def test_names_are_safe_files():
    made = sweep(project_name_base="캐릭터", prompt_list=["../../x", "a" * 300], lr_list=[1, 2])
    for run in runs(made):
        assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", run.slug) and len(run.slug) <= 120
    assert len({run.slug for run in runs(made)}) == 4
    assert runs(sweep(lr_list=[1, 2]))[0].slug == "p_lr-1-0" or runs(sweep(lr_list=[1, 2]))[0].slug == "p_lr-1"


def test_covering_takes_every_value_once_even_beside_dropped_points():
    made = sweep(a_list=list(range(9)), b_list=list(range(7)), exclude=["a == 0 and b < 5"])
    covered = list(made.covering())
    assert {run.options["a"].value for run in covered} == set(range(9))
    assert {run.options["b"].value for run in covered} == set(range(7))
    assert len(covered) <= 16


axes = st.lists(st.lists(st.integers(0, 5), min_size=2, max_size=4, unique=True), min_size=0, max_size=4)


@given(axes)
def test_index_and_iteration_agree_with_the_product(lists: list[list[int]]):
    made = sweep(**{f"k{number}_list": values for number, values in enumerate(lists)})
    wanted = list(itertools.product(*lists))
    assert made.size == len(wanted)
    seen = list(made)
    for index, (point, values) in enumerate(zip(seen, wanted, strict=True)):
        again = made.point(index)
        assert isinstance(point, Run) and isinstance(again, Run)
        assert (point.index, point.key, point.name) == (again.index, again.key, again.name)
        assert tuple(point.options[f"k{number}"].value for number in range(len(lists))) == values
    assert len({run.key for run in runs(made)}) == len({run.slug for run in runs(made)}) == len(wanted)


@given(axes, st.integers(6, 9))
def test_a_longer_list_keeps_the_old_keys(lists: list[list[int]], new: int):
    if lists:
        old = sweep(**{f"k{number}_list": values for number, values in enumerate(lists)})
        lists[0].append(new)
        assert {run.key for run in runs(old)} < {
            run.key for run in runs(sweep(**{f"k{number}_list": values for number, values in enumerate(lists)}))
        }


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda x: st.lists(x) | st.dictionaries(st.text(), x),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["a", "a_list", "zip", "exclude", "project_name_base", "b_list"]), json_values))
def test_any_value_is_a_sweep_or_an_error_in_words(values: dict[str, object]):
    try:
        made = sweep(**values)
        first = made.point(0)
        assert isinstance(first, (Run, Dropped))
    except UserError as error:
        assert str(error)


def test_a_million_points_cost_nothing_until_they_are_walked():
    values = {"a_list": list(range(100)), "b_list": list(range(100)), "c_list": list(range(100))}
    began = time.perf_counter()
    made = sweep(**values)
    preview = [made.point(index) for index in range(10)]
    assert made.size == 10**6 and isinstance(preview[9], Run) and preview[9].name == "p_a=0_b=0_c=9"
    assert time.perf_counter() - began < 0.5  # 50 ms on a quiet machine; the benchmark measures it
    tracemalloc.start()
    count = sum(1 for _ in itertools.islice(made.points(), 50_000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 50_000 and peak < 1 << 20


@pytest.mark.parametrize("name", ["_logs", "datasets", "a\x7fb", "a\u202eb", "a\u2028b"])
def test_a_sweeps_name_is_no_shared_folder_and_can_be_printed(name: str):
    with pytest.raises(UserError, match="project_name_base"):
        sweep(project_name_base=name)


def test_more_points_than_can_be_counted_are_refused():
    lists = {f"k{axis}_list": [1, 2] for axis in range(50)}
    with pytest.raises(UserError, match=r"t\.json: the lists make more than 1e\+15 combinations"):
        sweep(**lists)
    assert sweep(**lists, zip=[list(lists)[:25]]).size == 2**26
