"""A run's setting and seed, as the store knows them."""

from collections.abc import Mapping

import pytest

from automate_train.records import RunRecord


def run(varied: Mapping[str, str], **options: object) -> RunRecord:
    return RunRecord("0" * 16, 0, 0, "boats", "boats", varied, options)


def test_runs_that_differ_in_their_seed_alone_have_one_setting() -> None:
    first, second = (run({"unet_lr": "1e-4", "network_dim": "8", "seed": seed}) for seed in "12")
    assert first.setting == second.setting == {"unet_lr": "1e-4", "network_dim": "8"}
    assert first.setting_name == second.setting_name == "unet_lr=1e-4_network_dim=8"
    assert (first.seed, second.seed) == ("1", "2")


def test_where_nothing_but_the_seed_varies_the_setting_has_no_name() -> None:
    assert run({"seed": "1"}).setting_name == run({}).setting_name == ""


@pytest.mark.parametrize(("options", "seed"), [({"seed": 7}, "7"), ({"seed": 0}, "0"), ({"seed": None}, ""), ({}, "")])
def test_a_seed_that_does_not_vary_is_the_options(options: dict[str, object], seed: str) -> None:
    assert run({"unet_lr": "1e-4"}, **options).seed == seed
