"""Which checkpoints are due, and their names on a server."""

from __future__ import annotations

import pytest

from automate_train.config.sampling_options import SampleRule, sample_rule
from automate_train.records import Checkpoint
from automate_train.sampling.schedule import is_due, lora_name


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, SampleRule("epoch", 1)),
        ({"sample_opt": "epoch", "sample_num": "3"}, SampleRule("epoch", 3)),
        ({"sample_opt": "step", "sample_num": 100}, SampleRule("step", 100)),
        ({"sample_opt": "None"}, None),
        ({"sample_opt": None, "sample_num": 2}, None),
        ({"sample_num": 0}, SampleRule("epoch", 1)),
        ({"sample_num": "many"}, SampleRule("epoch", 1)),
    ],
)
def test_the_options_mean_a_rule(options, expected):
    assert sample_rule(options) == expected


@pytest.mark.parametrize(
    ("kind", "epoch", "step", "rule", "due"),
    [
        ("epoch", 2, 20, SampleRule("epoch", 2), True),
        ("epoch", 3, 30, SampleRule("epoch", 2), False),
        ("last", 3, 30, SampleRule("epoch", 2), True),
        ("last", None, None, SampleRule(None), True),
        ("epoch", 2, 20, SampleRule(None), False),
        ("step", 2, 15, SampleRule("epoch", 1), False),
        ("step", 2, 100, SampleRule("step", 50), True),
        ("epoch", 2, 100, SampleRule("step", 50), True),
        ("step", None, 101, SampleRule("step", 50), False),
        ("other", 2, 100, SampleRule("step", 50), False),
    ],
)
def test_the_rule(kind, epoch, step, rule, due):
    assert is_due(Checkpoint("x", kind, epoch, step), rule) is due


def test_epochs_that_a_person_names_win_over_the_rule():
    wanted = [range(1, 2), range(3, 5)]
    found = [
        epoch for epoch in range(1, 6) if is_due(Checkpoint("x", "epoch", epoch, 0), SampleRule("epoch", 5), wanted)
    ]
    assert found == [1, 3, 4]
    assert is_due(Checkpoint("x", "last", 4, 0), SampleRule(), wanted)
    assert not is_due(Checkpoint("x", "last", 5, 0), SampleRule(), wanted)
    assert not is_due(Checkpoint("x", "step", 3, 0), SampleRule(), wanted)


def test_names_hold_only_what_a_tag_may_hold():
    name = lora_name("0a1b2c3d", "k:ey/../key", 2, Checkpoint("x", "step", None, 50), "beef")
    assert name == "at-0a1b2c3d-k-ey-----a2-s00000050-beef"
    assert lora_name("0a1b2c3d", "key", 1, Checkpoint("x", "last", 9, 50), "beef").endswith("-a1-last-beef")
