"""Reading, layering and merging configs."""

from __future__ import annotations

import json
import os
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automate_train.config.layers import Layer, built_in, load, merge, parse_any, parse_set, read
from automate_train.config.values import text_of, unset
from automate_train.errors import UserError
from automate_train.records import Source
from automate_train.sweep.product import expand

SEED = Path(__file__).parents[1] / "data" / "seed"


def layer(label: str = "default file", **values: object) -> Layer:
    return Layer(Source(label, "x.json"), values)


def values(*layers: Layer) -> dict[str, object]:
    return {key: setting.value for key, setting in merge(layers)[0].items()}


def test_the_seeds_examples_load_as_they_stand():
    default = read(SEED / "default.json", "default file")
    tuning = read(SEED / "tuning.json", "tuning file")
    assert default.values["cuda_device"] == "1,2" and default.values["unet_lr"] == 3e-5
    assert text_of(tuning.values["unet_lr_list"][1]) == "0.00025"
    merged = values(built_in(), default, tuning)
    assert (
        "unet_lr" not in merged and merged["max_train_epochs"] == 10 and merged["webui_url"] == "http://127.0.0.1:9050/"
    )


def test_comments_trailing_commas_tabs_and_urls():
    text = """// first
    { # second
    \t"url": "http://x/#y,]", /* third
    */ "lr_list": [1e-4, 2E-4,], "t": "a\tb",
    }"""
    found = parse_any(text, "x.json")
    assert found == {"url": "http://x/#y,]", "lr_list": [1e-4, 2e-4], "t": "a\tb"}
    assert [text_of(value) for value in found["lr_list"]] == ["1e-4", "2E-4"]


def test_toml_is_flattened_as_sd_scripts_does(tmp_path: Path):
    file = tmp_path / "x.toml"
    file.write_text(
        'a = 1\n[network]\nnetwork_dim = 4\n[optimizer]\nunet_lr = 1e-4\nmixed_list = [1, 2.5]\nname = "x"\n'
    )
    found = read(file, "default file").values
    assert found == {"a": 1, "network_dim": 4, "unet_lr": 1e-4, "mixed_list": [1, 2.5], "name": "x"}
    assert text_of(found["unet_lr"]) == "1e-4"
    file.write_text("[a]\nx = 1\n[b]\nx = 2\n")
    assert read(file, "default file").values == {"x": 2}, "sd-scripts takes the last one"


def test_a_list_of_null_is_no_list():
    """It takes away a list of a file below, and leaves a plain value as it is."""

    def merged(default: dict[str, Any], tuning: dict[str, Any]) -> dict[str, Any]:
        layers = [Layer(Source("default file"), default), Layer(Source("tuning file"), tuning)]
        settings, problems = merge(layers)
        assert problems == []
        return {key: setting.value for key, setting in settings.items()}

    assert merged({"a_list": [1, 2]}, {"a_list": None}) == {}
    assert merged({"a": 1}, {"a_list": None}) == {"a": 1}
    assert merged({"a": 1, "a_list": None}, {"b_list": [1]}) == {"a": 1, "b_list": [1]}
    assert merged({"max_train_epochs_list": [1]}, {"epoch_num_list": "None"}) == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"a": 1,\n "b" 2}', ("x.json:2:6", '"b" 2}', "^")),
        ('{"a": 1,\n "a": 2}', ("x.json:2:2", "appears twice", '"a": 2}')),
        ('{"a": NaN}', ("NaN is not a number",)),
        ("[" * 60 + "]" * 60, ("nested deeper",)),
        ('{"a": ' + "9" * 5000 + "}", ("not valid JSON",)),
        ("", ("x.json:1:1",)),
    ],
)
def test_a_syntax_error_shows_the_place(text: str, words: tuple[str, ...]):
    with pytest.raises(UserError) as error:
        parse_any(text, "x.json")
    for word in words:
        assert word in str(error.value)


def test_a_toml_error_shows_the_place():
    with pytest.raises(UserError, match=r"x\.toml:2"):
        parse_any("a = 1\nb = \n", "x.toml")


@pytest.mark.parametrize("content", [b"\xff\xfe{", b"[1]", b"x" * (2 << 20)])
def test_files_that_are_no_config(tmp_path: Path, content: bytes):
    file = tmp_path / "x.json"
    file.write_bytes(content)
    with pytest.raises(UserError) as error:
        read(file, "default file")
    assert "x.json" in str(error.value)


@pytest.mark.parametrize("path", ["gone.json", ".", "a\0b", "x" * 5000])
def test_files_that_are_not_there(path: str):
    with pytest.raises(UserError):
        read(path, "default file")


def test_set_reads_json_else_text():
    found = parse_set(["a_list=[1e-4,2e-4]", "b=AdamW8bit", "c=", "d=true", "e=x=y"]).values
    assert found == {"a_list": [1e-4, 2e-4], "b": "AdamW8bit", "c": "", "d": True, "e": "x=y"}
    with pytest.raises(UserError, match="key=value"):
        parse_set(["novalue"])


def test_a_later_layer_wins_also_with_nothing():
    low, high = layer(a=1, b="x", c=True), layer("tuning file", a=None, b="", c=False)
    assert values(low, high) == {"a": None, "b": "", "c": False}
    assert str(merge([low, high])[0]["a"].source) == "tuning file x.json"


def test_a_list_and_its_scalar_replace_each_other():
    assert values(layer(a_list=[1, 2]), layer(a=3)) == {"a": 3}
    assert values(layer(a=3), layer(a_list=[1, 2])) == {"a_list": [1, 2]}
    merged, problems = merge([layer(a=3, a_list=[1, 2])])
    assert list(merged) == ["a_list"] and [each.severity for each in problems] == ["warning"]


@pytest.mark.parametrize("nothing", [None, "", "None"])
def test_a_list_that_is_nothing_is_no_list(nothing):
    assert values(layer(a=1, a_list=nothing)) == {"a": 1}
    assert values(layer(a=1), layer("tuning file", a_list=nothing)) == {"a": 1}
    assert values(layer(a_list=[1, 2]), layer("tuning file", a_list=nothing)) == {}
    assert merge([layer(a=1, a_list=nothing)])[1] == []


def test_a_file_is_measured_before_it_is_read(tmp_path: Path):
    """Three gigabytes of nothing: reading them would take as much memory."""
    file = tmp_path / "x.json"
    with file.open("wb") as opened:
        opened.truncate(3 << 30)
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match=r"x\.json: is larger than 1 MiB"):
            read(file, "default file")
        assert tracemalloc.get_traced_memory()[1] < 10 << 20
    finally:
        tracemalloc.stop()


def test_old_and_new_names_are_one_key():
    assert values(layer(pretrained_model_name_or_path="a"), layer(model_file="b")) == {
        "pretrained_model_name_or_path": "b"
    }
    assert merge([layer(epoch_num=3)])[0]["max_train_epochs"].written == "epoch_num"
    assert values(layer(max_train_epochs=3), layer(epoch_num_list=[1, 2])) == {"max_train_epochs_list": [1, 2]}
    with pytest.raises(UserError, match="same key"):
        merge([layer(epoch_num=3, max_train_epochs=4)])


def test_old_spellings_get_a_note():
    merged, problems = merge([layer(CUDA_VISIBLE_DEVICES="1", PORT=3)])
    assert list(merged) == ["cuda_device", "port"] and len(problems) == 2


def test_a_schema_for_editors_is_no_option(tmp_path: Path):
    (tmp_path / "x.json").write_text('{"$schema": "schema.json", "project_name_base": "p", "a": 1}')
    settings, problems = load({"tuning file": str(tmp_path / "x.json")}, [], {})
    made = expand(settings)
    assert problems == [] and made.size == 1 and made.shared["a"].value == 1 and "$schema" not in made.shared
    with pytest.raises(UserError, match=r"\$schema"):
        expand(merge([layer(project_name_base="p", **{"$schema_list": ["a", "b"]})])[0])


def test_no_file_and_no_set_is_said():
    with pytest.raises(UserError, match=r"no config file was given .*--default_config_path"):
        load({}, [], {"port": 1})


def test_the_order_is_that_of_the_winning_definitions():
    assert list(values(layer(a_list=[1], b=1, c=1), layer(c_list=[1], a_list=[2]))) == ["b", "c_list", "a_list"]


names = st.sampled_from(["a", "b", "a_list", "b_list", "model_file", "epoch_num"])
# NUL is refused: test_what_no_file_can_hold_is_refused_by_key_and_source
scalars = st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_characters="\0"), max_size=3)


@given(st.lists(st.dictionaries(names, scalars, max_size=4), max_size=4))
def test_merge_keeps_the_last_word_and_changes_no_layer(dicts: list[dict[str, object]]):
    before = json.dumps(dicts)
    merged, _ = merge([Layer(Source("x"), each) for each in dicts])
    assert json.dumps(dicts) == before
    for key in merged:
        assert not (key.endswith("_list") and key[:-5] in merged)
    if dicts:
        lists = {key for key, value in dicts[-1].items() if key.endswith("_list") and not unset(value)}
        assert lists <= set(merged)


@given(st.text(), st.sampled_from(["x.json", "x.toml"]))
def test_any_text_is_a_value_or_an_error_in_words(text: str, where: str):
    try:
        parse_any(text, where)
    except UserError as error:
        assert "x." in str(error)


json_values = st.recursive(
    scalars | st.floats(allow_nan=False, allow_infinity=False), lambda inner: st.lists(inner, max_size=3), max_leaves=6
)


@given(st.dictionaries(st.text(), json_values))
def test_plain_json_means_what_json_means(value: dict[str, object]):
    assert parse_any(json.dumps(value), "x.json") == value


UNFIT: list[object] = [
    "a\0", "\udc80", ["x", "\ud800"], {"a\0": 1}, [[float("inf")]], float("nan"), 10**400, {"a": [{"b": "\0"}]},
]  # fmt: skip


@pytest.mark.parametrize("value", UNFIT, ids=range(len(UNFIT)))
def test_what_no_file_can_hold_is_refused_by_key_and_source(value: object):
    with pytest.raises(UserError, match=r"default file.*: some_key: "):
        merge([layer(some_key=value)])
    with pytest.raises(UserError, match="holds a character"):
        merge([layer(**{"a\udc80": 1})])


@pytest.mark.parametrize("key", ["", "_list"])
def test_a_key_without_a_name_is_told(key: str):
    with pytest.raises(UserError, match="has a value for a key without a name"):
        merge([layer(**{key: [1, 2]})])


def test_toml_keys_may_not_nest_without_end(tmp_path: Path):
    (tmp_path / "d.toml").write_text("a." * 3000 + "a = 1")
    with pytest.raises(UserError, match=r"d\.toml: a: is nested deeper than 50 levels"):
        merge([read(tmp_path / "d.toml", "default file")])


def test_numbers_beyond_all_measure_are_errors_in_words():
    with pytest.raises(UserError, match="has 5000 digits, and 300 are the most"):
        parse_any('{"a": ' + "1" * 5000 + "}", "f.json")
    with pytest.raises(UserError, match="1e999 is not a number that a config file may hold"):
        merge([parse_set(["a=1e999"])])


def test_what_is_no_regular_file_says_so(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    for name, says in ((".", "is a folder"), ("pipe", "is not a regular file"), ("none", "there is no such file")):
        with pytest.raises(UserError, match=says):
            read(tmp_path / name, "default file")
