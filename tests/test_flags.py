"""Spellings of flags, and the command as it may be shown."""

from __future__ import annotations

import pytest

from automate_train.flags import masked, spell


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
