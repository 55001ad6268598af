"""Exclude expressions: what they mean, and that they cannot do anything else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automate_train.errors import UserError
from automate_train.sweep.exclude import compile_expression

VALUES = {
    "network_dim": 8,
    "network_alpha": 16,
    "unet_lr": 4e-4,
    "clip_skip": 2,
    "name": "x",
    "none": None,
    "max_train_epochs": 3,
}


def applies(text: str) -> bool:
    return compile_expression(text, VALUES, "t.json")[0](VALUES.__getitem__)


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("network_alpha > network_dim", True),
        ("clip_skip == 2 and unet_lr >= 4e-4", True),
        ("not clip_skip in [1, 3] or false", True),
        ("1 < clip_skip < 3", True),
        ("network_alpha / network_dim == 2 and network_alpha % 3 == 1 and -clip_skip + 2 == 0", True),
        ("name == 'x' and none == null", True),
        ("epoch_num == 3", True),
        ("none > 3", False),
        ("clip_skip / 0 == 1", False),
        ("name * 3 == 'xxx'", False),
    ],
)
def test_meaning(text: str, result: bool):
    assert applies(text) is result


@pytest.mark.parametrize(
    "text",
    [
        "open('x')",
        "name.upper()",
        "name[0]",
        "2 ** 99",
        "lambda: 1",
        "[x for x in name]",
        "f'{name}'",
        "",
        "a b",
        "(" * 500,
        "x := 1",
        "1 if 1 else 2",
    ],
)
def test_everything_else_is_refused(text: str):
    with pytest.raises(UserError, match="exclude"):
        applies(text)


def test_a_mistyped_name_suggests_the_nearest():
    with pytest.raises(UserError, match="did you mean network_dim"):
        applies("network_dm > 1")


@given(st.text())
def test_any_text_is_an_expression_or_an_error(text: str):
    try:
        assert applies(text) in (True, False)
    except UserError as error:
        assert "exclude" in str(error)
