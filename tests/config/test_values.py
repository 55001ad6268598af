"""Values whatever their key: numbers as files hold them, and who counts with them."""

from __future__ import annotations

import pytest

from automate_train.config.layers import Layer, built_in, merge, parse_any
from automate_train.config.sampling_options import SampleRule, sample_rule
from automate_train.config.values import number, whole
from automate_train.records import Run, Source
from automate_train.sweep.product import expand
from automate_train.training.prepare import retries


@pytest.mark.parametrize("written", ["2", "2.0", '"2"', '"2.0"', "2e0", '" 2 "'])
def test_a_whole_number_counts_however_it_is_written(written: str):
    """The checks let all of these through: who counts with them must read them, too."""
    value = parse_any(written, "x.json")
    assert whole(value) == 2
    assert sample_rule({"sample_opt": "epoch", "sample_num": value}) == SampleRule("epoch", 2)
    run = expand(merge([built_in(), Layer(Source("--set"), {"project_name_base": "p", "retries": value})])[0]).point(0)
    assert isinstance(run, Run) and retries(run) == 2


@pytest.mark.parametrize("value", [True, None, "", "x", "2.5", 2.5, [2], "1e999", float("nan"), 2**64, "9" * 5000])
def test_what_is_no_whole_number(value: object):
    assert whole(value) is None


def test_numbers_of_texts():
    assert [number(each) for each in ("1e-4", " 7", "nan", "inf", "", [1], False)] == [1e-4, 7, *[None] * 5]
