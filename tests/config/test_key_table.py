"""The table of keys, and what is made from it: documentation, the editors' schema."""

from __future__ import annotations

import re
import runpy
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from automate_train.cli.keys import names
from automate_train.config.key import MOST, Key
from automate_train.config.key_sets import ALIASES, BUILT_IN, MASKED, NEUTRAL, OURS, canonical
from automate_train.config.key_table import KEYS
from automate_train.config.layers import parse_any, read
from automate_train.preflight.own_keys import messages

ROOT = Path(__file__).parents[2]
SEED = ROOT / "tests/data/seed"
MADE = runpy.run_path(str(ROOT / "docs/make_keys.py"))
SCHEMA: dict[str, Any] = parse_any(MADE["schema"](), "schema.json")


@pytest.mark.parametrize("path", MADE["FILES"], ids=lambda path: path.name)
def test_what_is_made_from_the_table_is_up_to_date(path: Path):
    assert path.read_text(encoding="utf-8") == MADE["FILES"][path](), "python docs/make_keys.py writes it anew"


def test_no_name_means_two_keys():
    assert [name for name, count in Counter(name for key in KEYS for name in names(key)).items() if count > 1] == []
    assert not any(name.endswith("_list") for key in KEYS for name in names(key))


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.name)
def test_a_row_of_the_table(key: Key):
    assert re.fullmatch(r"[A-Z][^\n]*\.", key.meaning) and len(key.meaning) < 120
    assert key.example is not None
    if key.ours and key.scope != "expansion":
        for value in (key.example, key.default):
            assert value is None or list(messages(key, value)) == []
    for value in (key.example, key.default, None, ""):
        if not (value == "" and key.type in ("table", "any")):
            assert wrong(SCHEMA["properties"][key.name], value) == [], value


def test_what_the_names_of_the_table_lead_to():
    assert canonical("epoch_num_list") == "max_train_epochs_list" and canonical("PORT") == "port"
    assert ALIASES["images_folder"] == "image_dir" and BUILT_IN["retries"] == 0
    assert {"wandb_api_key", "huggingface_token", "webui_auth", "webui_uploader_auth"} == MASKED
    assert {"port", "log_with", "output_dir", "zip"} <= NEUTRAL and not {"repo_dir", "unet_lr", "resolution"} & NEUTRAL
    assert {"repo_dir", "huggingface_token"} <= OURS and not {"unet_lr", "image_dir", "zip", "$schema"} & OURS


def wrong(schema: dict[str, Any], value: Any, where: str = "") -> Iterator[str]:
    return list(_wrong(schema, value, where))


KINDS = {"string": str, "null": type(None), "array": list, "object": dict, "boolean": bool}


def _wrong(schema: dict[str, Any], value: Any, where: str) -> Iterator[str]:
    """What a JSON schema says against a value; only of the words that ours uses."""
    unknown = schema.keys() - {"type", "enum", "minimum", "maximum", "items", "minItems", "properties"}
    assert unknown <= {"$schema", "title", "description", "examples", "default"}
    if "enum" in schema and not any(value == each and type(value) is type(each) for each in schema["enum"]):
        yield f"{where}: {value!r} is not one of {schema['enum']}"
    kinds = schema.get("type", [])
    if kinds and not any(_is(value, kind) for kind in ([kinds] if isinstance(kinds, str) else kinds)):
        yield f"{where}: {value!r} is not {kinds}"
    if isinstance(value, (int, float)) and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        yield f"{where}: {value!r} is out of range"
    if isinstance(value, list):
        if len(value) < schema.get("minItems", 0):
            yield f"{where}: is empty"
        for each in value:
            yield from _wrong(schema.get("items", {}), each, where)
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _wrong(schema.get("properties", {}).get(name, {}), inner, name)


def _is(value: Any, kind: str) -> bool:
    if kind in ("number", "integer"):
        return isinstance(value, (int, float) if kind == "number" else int) and not isinstance(value, bool)
    return isinstance(value, KINDS[kind])


FILES = [*SEED.glob("*.json"), *(ROOT / "configs/quickstart").glob("*.json")]


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_the_schema_accepts_files_that_people_have(path: Path):
    assert wrong(SCHEMA, dict(read(path, "file").values)) == []


def test_the_schema_accepts_the_examples_of_the_readme():
    examples = re.findall(r"```json\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len(examples) == 3
    assert [wrong(SCHEMA, parse_any(text, "x.json")) for text in examples] == [[], [], []]


@pytest.mark.parametrize(
    "values",
    [
        {"port": 0}, {"port": True}, {"port_list": 29500}, {"port_list": []}, {"port_list": [1, 70000]},
        {"on_failure": "perhaps"}, {"on_failure_list": ["stop"], "sample_opt": "week"}, {"hook": 1},
        {"model_file": ["a"]}, {"webui_urls": [None]}, {"zip": 3}, {"custom_attributes": "a"},
    ],
)  # fmt: skip
def test_the_schema_refuses_what_a_key_of_ours_cannot_be(values: dict[str, Any]):
    assert len(wrong(SCHEMA, values)) == 1


def test_the_schema_leaves_the_trainers_options_to_the_trainer():
    """So it cannot refuse a misspelled key of ours: `project_nam` may be an option of somebody's script."""
    assert wrong(SCHEMA, {"network_dim": 4, "network_args": ["a=b"], "gor_ortho_decay": 0.9, "project_nam": 1}) == []


def test_a_range_is_no_wider_than_what_the_journal_holds():
    assert all(key.range is None or key.range[1] <= MOST for key in KEYS)
