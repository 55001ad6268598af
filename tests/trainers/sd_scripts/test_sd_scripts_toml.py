"""Our TOML is read by the trainers' reader as it was meant, or refused."""

from __future__ import annotations

import pytest
import toml
from hypothesis import given
from hypothesis import strategies as st

from automate_train.errors import UserError
from automate_train.trainers.sd_scripts.toml_text import dumps

HARD = st.text(st.sampled_from(list("ab\\x\"'#[],= \n\x00ué한{}\x85.;0")), max_size=8)
TEXTS = st.text(max_size=12) | HARD
SCALARS = st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
KEYS = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
TABLES = st.dictionaries(
    KEYS, SCALARS | st.lists(TEXTS, max_size=3) | st.lists(st.integers(0, 9), max_size=3), max_size=4
)


def written(document):
    try:
        return dumps(document)
    except UserError as error:
        assert "TOML reader cannot read" in str(error) or "surrogate" in str(error)
        return None


@given(TABLES)
def test_a_table_comes_back_as_it_was(table):
    text = written(table)
    if text is not None:
        found = toml.loads(text)
        assert found == table
        assert [type(value) for value in found.values()] == [type(value) for value in table.values()]


@given(TABLES, st.lists(st.lists(TABLES, min_size=1, max_size=2), min_size=1, max_size=2))
def test_a_dataset_comes_back_as_it_was(general, datasets):
    document = {"general": general, "datasets": [{"number": 1, "subsets": subsets} for subsets in datasets]}
    text = written(document)
    if text is not None:
        assert toml.loads(text) == document


@pytest.mark.parametrize("text", ["C:\\xyz\\x41", ",a", "a\\", '"', "'", "'''", "#", "[", "\n", "é", "\x7f", "", " "])
def test_what_the_packages_own_writer_or_reader_stumbles_over(text):
    assert toml.loads(dumps({"k": text, "l": [text, text]})) == {"k": text, "l": [text, text]}


def test_nested_tables():
    document = {
        "datasets": [{"subsets": [{"image_dir": "x", "custom_attributes": {"a": {"b": 1}}}, {"image_dir": "y"}]}]
    }
    assert toml.loads(dumps(document)) == document


@pytest.mark.parametrize("document", [{"a b": 1}, {"a": None}, {"a": [None]}, {"a": object()}, {"a": "\ud800"}])
def test_what_no_toml_can_hold_is_refused(document):
    with pytest.raises(UserError):
        dumps(document)
