"""The user's own dataset TOML (`custom_dataset`, or `dataset_config` by the trainer's name).

Covers: reading it (TOML or JSON, as upstream does), known keys and types, relative paths resolved against the file,
masks kept or translated, dataset options outside the file, which would have no effect. Not: datasets made from options
(`dataset`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import toml

from ...config.key_sets import DATASET
from ...config.values import number
from ...errors import Problem, Severity, nearest
from ...records import Setting
from ..script_options.argument import Argument
from .dataset import (
    KEYS,
    OF_SUBSET,
    PATHS,
    TYPES,
    Document,
    apply_masks,
    batch_sizes,
    bucket_defaults,
    each_subset,
    typed,
)  # fmt: skip
from .value_types import Table, path_in, problem, rank

OF_DATASET = frozenset(TYPES) - {*PATHS, "is_reg"}
MAX_BYTES = 16 << 20


def read(
    setting: Setting, given: Mapping[str, Setting], accepted: Mapping[str, Argument], masks: str, found: list[Problem]
) -> Document:
    """The file's content, ready for the attempt; what is wrong with it, or with options outside it, goes to `found`."""
    path = path_in(setting)
    if path is None:
        found.append(problem(setting, "needs the path of a dataset TOML"))
        return {}
    text, message = parse(path)
    if message:
        found.append(problem(setting, f"{path}: {message}"))
        return {}
    document: Document = json.loads(text)  # a copy: the file is read once, and changed for each run
    messages = _typed(document)
    found += [problem(setting, f"{path}: {message}") for message in messages]
    if messages:
        return {}
    for _, subset in each_subset(document):
        for key in PATHS:
            if key in subset:
                whole = os.path.join(os.path.dirname(path), os.path.expanduser(subset[key]))
                subset[key] = os.path.normpath(whole)
    apply_masks(document, masks, setting, found)
    _without_effect(setting, given, accepted, document, found)
    return document


def parse(path: str) -> tuple[str, str]:
    """A TOML (or JSON) file's content as JSON text, or a message."""
    try:
        return _parse_once(path, os.stat(path).st_mtime_ns)
    except (OSError, ValueError) as error:
        return "", f"cannot be read: {getattr(error, 'strerror', None) or error}"


@lru_cache(maxsize=64)
def _parse_once(path: str, changed: int) -> tuple[str, str]:
    if Path(path).stat().st_size > MAX_BYTES:
        return "", "is too big for a dataset TOML"
    try:
        text = Path(path).read_text(encoding="utf-8")
        if path.lower().endswith(".json"):
            return json.dumps(json.loads(text)), ""
        return json.dumps(toml.loads(text)), ""
    except UnicodeDecodeError:
        return "", "is not text in UTF-8"
    except OSError as error:
        return "", f"cannot be read: {error.strerror}"
    except Exception as error:  # the toml package raises IndexError, KeyError and others on broken files
        return "", f"is not valid {'JSON' if path.lower().endswith('.json') else 'TOML'}: {error}"


def _typed(document: object) -> list[str]:
    """Convert every value to the schema's type in place; returns messages for what the schema would refuse."""
    if not isinstance(document, dict):
        return ["contains no tables"]
    messages = [
        f"[{key}] is unknown; a dataset TOML has [general] and [[datasets]]" for key in document.keys() - TABLES
    ]
    messages += _table(document.get("general", {}), "[general]", OF_DATASET)
    datasets = document.get("datasets", [])
    if not isinstance(datasets, list) or not datasets:
        return [*messages, "has no [[datasets]]"]
    for dataset in datasets:
        messages += _table(dataset, "[[datasets]]", OF_DATASET | {"subsets"})
        subsets = dataset.get("subsets") if isinstance(dataset, dict) else None
        if not isinstance(subsets, list) or not subsets:
            messages.append("a dataset has no [[datasets.subsets]]")
            continue
        for subset in subsets:
            messages += _table(subset, "[[datasets.subsets]]", OF_SUBSET_TABLE)
            if isinstance(subset, dict) and not subset.keys() & {"image_dir", "metadata_file"}:
                messages.append("a subset has no image_dir")
    return messages


TABLES = {"general", "datasets"}
OF_SUBSET_TABLE = frozenset(TYPES) - {
    "batch_size", "resolution", "enable_bucket", "min_bucket_reso", "max_bucket_reso", "bucket_reso_steps",
    "bucket_no_upscale", "validation_split", "validation_seed", "network_multiplier",
}  # fmt: skip


def _table(table: object, name: str, known: frozenset[str]) -> list[str]:
    if not isinstance(table, dict):
        return [f"{name} is not a table"]
    messages = []
    for key, value in list(table.items()):
        if value is None:  # JSON's null
            del table[key]
            continue
        if key == "subsets" and key in known:
            continue
        if key not in known:
            elsewhere = "it is a key of another table" if key in TYPES else nearest(key, known)
            messages.append(f"{name} {key} is unknown{elsewhere and ': ' + elsewhere}")
            continue
        table[key], message = typed(key, value)
        if message:
            messages.append(f"{name} {key} {message}")
    return messages


def _without_effect(
    setting: Setting,
    given: Mapping[str, Setting],
    accepted: Mapping[str, Argument],
    document: Document,
    found: list[Problem],
) -> None:
    """Dataset options outside the file never reach the trainer: an error where one was given over the file, in a later
    layer; else a note, unless they are the default anyway."""
    for key, other in given.items():
        if key not in DATASET | KEYS or other is setting or other.source.label == "built-in":
            continue
        if not _is_default(key, other.value, accepted):
            hint = f"write it into {path_in(setting)}, or set {other.written} to null"
            severity: Severity = "error" if rank(other) > rank(setting) else "warning"
            found.append(problem(other, f"has no effect together with {setting.written}", hint, severity))
    batch, sizes = given.get("train_batch_size"), set(batch_sizes(document))
    if batch is not None and batch.source.label != "built-in" and sizes and sizes != {number(batch.value)}:
        text = f"has no effect: {path_in(setting)} sets batch_size {', '.join(map(str, sorted(sizes)))}"
        found.append(problem(batch, text, "take one of them out"))


def _is_default(key: str, value: object, accepted: Mapping[str, Argument]) -> bool:
    ours: list[Table] = [{"enable_bucket": True, "caption_extension": ".txt"}]
    ours += [bucket_defaults(512), bucket_defaults(768)]
    if any(key in defaults and defaults[key] == value for defaults in ours):
        return True
    if key not in TYPES or key not in accepted or key in OF_SUBSET:
        return False
    found, message = typed(key, value)
    return message is None and found == accepted[key].default and accepted[key].default is not None
