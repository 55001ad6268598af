"""`"replicates": 3`: which seeds, in which order, under which names and keys."""

from __future__ import annotations

import pytest

from automate_train.config.layers import Layer, merge
from automate_train.errors import UserError
from automate_train.records import Run, Source
from automate_train.sweep.product import Sweep, expand
from automate_train.sweep.record import record_of


def sweep(**values: object) -> Sweep:
    return expand(merge([Layer(Source("tuning file", "t.json"), {"project_name_base": "p", **values})])[0])


def runs(made: Sweep) -> list[Run]:
    return [point for point in made if isinstance(point, Run)]


def test_every_setting_gets_its_first_seed_before_any_gets_its_second():
    made = sweep(seed=7, unet_lr_list=["1e-4", "4e-4"], network_dim_list=[4, 8], replicates=2)
    assert [run.name for run in runs(made)] == [
        "p_unet_lr=1e-4_network_dim=4_seed=7",
        "p_unet_lr=1e-4_network_dim=8_seed=7",
        "p_unet_lr=4e-4_network_dim=4_seed=7",
        "p_unet_lr=4e-4_network_dim=8_seed=7",
        "p_unet_lr=1e-4_network_dim=4_seed=8",
        "p_unet_lr=1e-4_network_dim=8_seed=8",
        "p_unet_lr=4e-4_network_dim=4_seed=8",
        "p_unet_lr=4e-4_network_dim=8_seed=8",
    ]
    first, last = record_of(runs(made)[0]), record_of(runs(made)[-1])
    assert list(first.varied) == ["unet_lr", "network_dim", "seed"]
    assert (first.setting_name, first.seed) == ("unet_lr=1e-4_network_dim=4", "7")
    assert (last.setting_name, last.seed) == ("unet_lr=4e-4_network_dim=8", "8")
    assert last.slug == "p_unet_lr-4e-4_network_dim-8_seed-8"


@pytest.mark.parametrize("seed", [{}, {"seed": None}, {"seed": "None"}, {"seed": ""}])
def test_without_a_seed_the_first_is_one(seed: dict[str, object]):
    assert [run.options["seed"].value for run in runs(sweep(**seed, replicates=3))] == [1, 2, 3]
    assert [run.name for run in runs(sweep(replicates="2"))] == ["p_seed=1", "p_seed=2"]


@pytest.mark.parametrize("values", [{"replicates": 1}, {"replicates": None}, {"replicates": 1.0}])
def test_one_replicate_changes_nothing(values: dict[str, object]):
    made, plain = sweep(a_list=[1, 2], **values), sweep(a_list=[1, 2])
    assert [(run.key, run.name, dict(run.options)) for run in runs(made)] == [
        (run.key, run.name, dict(run.options)) for run in runs(plain)
    ]
    assert "replicates" not in runs(made)[0].options and "seed" not in runs(made)[0].options


@pytest.mark.parametrize("seed", [0, 42, "42", 42.0])
def test_the_first_seed_has_the_key_that_it_had_without_replicates(seed: object):
    once, thrice = sweep(seed=seed, a_list=[1, 2]), sweep(seed=seed, a_list=[1, 2], replicates=3)
    assert [run.key for run in runs(thrice)][:2] == [run.key for run in runs(once)]
    listed = sweep(seed_list=[seed, int(float(str(seed))) + 1, int(float(str(seed))) + 2], a_list=[1, 2])
    assert {run.key for run in runs(listed)} == {run.key for run in runs(thrice)}
    assert thrice.find(runs(once)[0].key, record_of(runs(once)[0]).options) is not None


def test_a_list_of_seeds_stands_where_it_was_written_and_is_no_setting():
    made = [record_of(run) for run in runs(sweep(a_list=[1, 2], seed_list=[5, 6], b_list=[0, 1]))]
    assert made[0].name == "p_a=1_seed=5_b=0"
    assert [record.setting_name for record in made][:4] == ["a=1_b=0", "a=1_b=1", "a=1_b=0", "a=1_b=1"]
    assert [record.seed for record in made][:4] == ["5", "5", "6", "6"]


def test_exclude_may_name_the_seed():
    assert [run.options["seed"].value for run in runs(sweep(seed=3, replicates=3, exclude="seed == 4"))] == [3, 5]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"replicates": 0}, "replicates: must be a whole number from 1 to 100, not 0"),
        ({"replicates": 101}, "replicates: must be a whole number from 1 to 100, not 101"),
        ({"replicates": True}, "not True"),
        ({"replicates": 2.5}, "not 2.5"),
        ({"replicates": [1, 2]}, "not [1, 2]"),
        ({"replicates": "three"}, "not 'three'"),
        ({"replicates": 3, "seed_list": [1, 2]}, "cannot stand beside the seed_list of tuning file t.json"),
        ({"replicates_list": [1, 2]}, "replicates_list: has one value for the whole sweep (use replicates)"),
        ({"replicates": 3, "seed": "x"}, "seed: must be a whole number from 0 to 4294967293 with 3 replicates"),
        ({"replicates": 3, "seed": -1}, "not -1"),
        ({"replicates": 3, "seed": 2**32 - 2}, "from 0 to 4294967293"),
        ({"replicates": 3, "a_list": [1, 2, 3], "zip": ["seed", "a"]}, "this sweep has no list seed"),
    ],
)
def test_what_cannot_be_is_said_with_its_file(values: dict[str, object], words: str):
    with pytest.raises(UserError) as error:
        sweep(**values)
    assert words in str(error.value) and "t.json" in str(error.value)
