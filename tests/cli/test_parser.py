"""Spellings of flags, and the command as it may be shown."""

from __future__ import annotations

import pytest

from automate_train.cli.parser import indexes, masked, number, spell, sweep_parser
from automate_train.errors import UserError


@pytest.mark.parametrize(
    ("typed", "known"),
    [
        (["-cuda-memory-limit", "9"], ["--cuda-memory-limit", "9"]),
        (["--cuda_memory_limit=7.5"], ["--cuda-memory-limit=7.5"]),
        (["-cuda_memory_limit", "-1"], ["--cuda-memory-limit", "-1"]),
        (["--set", "a_b=c_d", "-v"], ["--set", "a_b=c_d", "-v"]),
        (["--set=a_b=--c_d"], ["--set=a_b=--c_d"]),
        (["--", "--a_b"], ["--", "--a_b"]),
        (["a_b", "", "-", "-x1"], ["a_b", "", "-", "-x1"]),
    ],
)
def test_flags_are_spelled_with_dashes_and_values_stay(typed, known):
    assert spell(typed) == known


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        (["--set", "wandb_api_key=hush"], ["--set", "wandb_api_key=***"]),
        (["--set=wandb_api_key=hush", "--cpu"], ["--set=wandb_api_key=***", "--cpu"]),
        (["-set", 'webui_auth_list=["a:b=c"]'], ["-set", "webui_auth_list=***"]),
        (["--set", " huggingface_token = hush"], ["--set", " huggingface_token =***"]),
        (["--set", "unet_lr=1e-4", "--set"], ["--set", "unet_lr=1e-4", "--set"]),
        (["--project_name_base", "wandb_api_key=x"], ["--project_name_base", "wandb_api_key=x"]),
        (["--set", "nothing"], ["--set", "nothing"]),
    ],
)
def test_a_secret_behind_set_is_never_shown(typed, shown):
    assert masked(typed) == shown


@pytest.mark.parametrize("text", ["²", "٣", "1-", "-1", "3-1", "", ",", "1,,2", "9" * 19, "1 2", "1--2"])
def test_what_is_no_index_is_refused(text):
    with pytest.raises(UserError, match=r"--only: .* is no index and no range"):
        indexes("--only", text)


def test_indexes_may_overlap_and_stand_in_any_order():
    assert indexes("--only", " 7-9, 0,3 ,5-7") == [range(1), range(3, 4), range(5, 8), range(7, 10)]


@pytest.mark.parametrize("text", ["x", "", "-1", "1.5", "9" * 16, "9" * 5000])
def test_numbers_of_flags_have_two_ends(text):
    with pytest.raises(UserError, match=r"--cpu: .* is no whole number from 1 up") as caught:
        number("--cpu", text, 1)
    assert len(str(caught.value)) < 120


def test_a_word_too_many_is_no_flag():
    with pytest.raises(UserError, match=r"'statuss' belongs to no flag and is no command .did you mean status"):
        sweep_parser().parse_args(["statuss"])
