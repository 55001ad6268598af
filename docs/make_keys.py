"""Write docs/keys.md and configs/schema.json from the table of keys (`automate_train/config/key_table.py`).

    python docs/make_keys.py      (or: make keys)

Covers: both texts. A test says when a file is not what this would write. Not: the trainer's own options: the schema
accepts any other key, because only a trainer's source says which ones there are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from automate_train.cli.keys import facts, names
from automate_train.config.key import READERS, Key
from automate_train.config.key_table import KEYS

ROOT = Path(__file__).parents[1]

HEAD = """\
# Keys of the config files

<!-- Written by docs/make_keys.py from automate_train/config/key_table.py: edit that table, then `make keys`. -->

These are the keys that automate-train itself understands, in JSON or TOML, in both files and behind `--set`. Any other
key must be an option of the trainer's script: `automate-train args REPO_DIR WORD` searches those. A key that is neither
is an error that names the file, the key and the nearest names.

- `KEY_list` of any key makes an axis of the sweep, unless the key has one value for the whole sweep or is a secret.
- `null`, `""` and `"None"` say that a key is not set.
- `automate-train keys WORD` shows the same in a terminal.
- An editor checks and completes a JSON file whose first key is `"$schema"`, with the path of
  [configs/schema.json](../configs/schema.json).
"""


def markdown() -> str:
    return "\n".join([HEAD, *_groups()])


def _groups() -> Iterator[str]:
    for reader, title in READERS.items():
        yield f"## {title}\n\n| key | meaning | value | example |\n|---|---|---|---|"
        for key in KEYS:
            if key.reader == reader:
                cells = (", ".join(f"`{name}`" for name in names(key)), key.meaning, "; ".join(facts(key)))
                yield f"| {' | '.join(map(_escaped, cells))} | `{_escaped(_json(key.example))}` |"
        yield ""


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def schema() -> str:
    properties: dict[str, Any] = {}
    for key in KEYS:
        value = _value(key)
        about = {"description": key.meaning, "examples": [key.example]}
        default = {} if key.default is None else {"default": key.default}
        for name in names(key):
            properties[name] = {**value, **about, **default}
            if key.scope == "run" and not key.secret:
                text = f"An axis of the sweep. {key.meaning}"
                properties[f"{name}_list"] = {"type": "array", "minItems": 1, "items": value, "description": text}
    lines = ",\n".join(f"    {_json(name)}: {_json(found)}" for name, found in properties.items())
    return (
        '{\n  "$schema": "http://json-schema.org/draft-07/schema#",\n'
        '  "title": "A config file of automate-train",\n'
        '  "description": "Other keys are options of the trainer, which automate-train checks when it starts.",\n'
        f'  "type": "object",\n  "properties": {{\n{lines}\n  }}\n}}\n'
    )


TYPES: dict[str, list[str]] = {
    "text": ["string", "number", "null"],
    "texts": ["array", "string", "null"],
    "int": ["integer", "string", "null"],
    "float": ["number", "string", "null"],
    "numbers": ["array", "number", "string", "null"],
    "devices": ["integer", "string", "null"],
    "resolution": ["integer", "string", "array", "null"],
    "range": ["array", "string", "null"],
    "table": ["object", "null"],
    "groups": ["array", "string", "null"],
    "amount": ["number", "string", "null"],
}
"""A key's type -> the JSON types that are accepted: numbers may be texts, and every key may be not set."""


def _value(key: Key) -> dict[str, Any]:
    """The schema of one value of a key."""
    if key.choices:
        return {"enum": list(dict.fromkeys([*key.choices, "None", "", None]))}
    if key.type == "bool":
        return {"enum": [True, False, "true", "false", "True", "False", "None", "", None]}
    if key.type == "any":
        return {}
    limits = {} if key.range is None else dict(zip(("minimum", "maximum"), key.range, strict=True))
    items = {"items": {"type": ["string", "number"]}} if key.type in ("texts", "numbers") else {}
    return {"type": TYPES[key.type], **limits, **items}


FILES = {ROOT / "docs/keys.md": markdown, ROOT / "configs/schema.json": schema}

if __name__ == "__main__":
    for path, text in FILES.items():
        path.write_text(text(), encoding="utf-8")
        print(path)
