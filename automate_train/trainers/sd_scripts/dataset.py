"""The dataset TOML of images_folder and its options.

Covers: what sd-scripts' dataset schema knows, `10_name` folders, buckets, captions, masks. The result is the TOML's
content as plain dicts: `{"general": {...}, "datasets": [{..., "subsets": [{...}]}]}`.
Not: what is wrong with the images (`dataset_checks`), folders of links (`caches`), the user's own file (`custom`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Set
from typing import Any

from ...config.key_sets import DATASET
from ...config.key_table import KEYS as KEY_TABLE
from ...errors import Problem
from ...records import Setting
from ..script_options.argument import Argument, check, convert, shown
from . import image_files
from .value_types import Table, Values, absolute, as_list, out_of_range, path_in, plain, problem, rank

Document = Table

TYPES = {
    **{key.name: "str" if key.type == "text" else key.type for key in KEY_TABLE if key.name in DATASET},
    "batch_size": "int",
    "network_multiplier": "float",
}
"""Option -> its type in sd-scripts' schema, which is strict: it refuses 0 for a float."""

OF_SUBSET = frozenset(
    "image_dir metadata_file num_repeats class_tokens is_reg alpha_mask conditioning_data_dir mask_dir".split()
)
"""Written with each subset; everything else once, under [general]."""
PATHS = ("image_dir", "metadata_file", "conditioning_data_dir", "mask_dir")

TRAINERS_NAMES = {
    "train_data_dir": "image_dir",
    "in_json": "metadata_file",
    "dataset_repeats": "num_repeats",
    "dataset_config": "custom_dataset",
}
"""The trainer's own names for dataset options -> ours: it always gets a dataset TOML."""

KEYS = frozenset({"custom_dataset", "reg_data_dir", *TRAINERS_NAMES})
"""Dataset keys that are not in `keys.DATASET`."""


def typed(key: str, value: object) -> tuple[Any, str | None]:
    """The value with the schema's type, or None and what is wrong."""
    kind = TYPES[key]
    if kind in ("resolution", "range"):
        parts = as_list(value.split(",") if isinstance(value, str) else value)
        one = Argument(key, "int" if kind == "resolution" else "float")
        bad = [part for part in parts if part is None or check(one, part)]
        if bad or len(parts) not in ((1, 2) if kind == "resolution" else (2,)):
            wanted = "768 or 768,768" if kind == "resolution" else "two numbers like 1.0,3.0"
            return None, f"needs {wanted}, not {shown(value)}"
        numbers = [convert(one, part) for part in parts]
        if min(numbers) <= 0 or (kind == "range" and numbers[0] > numbers[1]):
            return None, "must be above 0" if min(numbers) <= 0 else "needs the smaller number first"
        same = kind == "resolution" and numbers[0] == numbers[-1]
        return numbers[0] if same else numbers, None
    if kind == "table":
        return (plain(value), None) if isinstance(value, dict) else (None, "needs an object")
    argument = Argument(key, kind)
    message = check(argument, value) or out_of_range(key, convert(argument, value))
    return (None, message) if message else (plain(convert(argument, value)), None)


def build(given: Mapping[str, Setting], masks: str, found: list[Problem]) -> Document:
    """The TOML of images_folder and its options; what is wrong goes to `found`. `masks`: see `legacy_keys.masks`."""
    options: Table = {}
    where = _by_name(given, found)
    for name, setting in where.items():
        value, message = typed(name, setting.value)
        if message:
            found.append(problem(setting, message))
            continue
        if TYPES[name] == "bool" and isinstance(setting.value, str):
            found.append(problem(setting, f'the text "{setting.value}" is read as a switch', severity="warning"))
        options[name] = value
    options |= {name: absolute(options[name]) for name in PATHS if name in options}
    subsets = _subsets(options, where, found)
    if regular := given.get("reg_data_dir"):
        named = _named(path_in(regular) or "", found, regular)
        if not named:
            found.append(problem(regular, "needs a folder that holds sub-folders like 1_name"))
        subsets += [{**subset, "is_reg": True} for subset in named]
    general = {key: value for key, value in options.items() if key not in OF_SUBSET}
    _defaults(general, subsets)
    document = {"general": general, "datasets": [{"subsets": subsets}]}
    apply_masks(document, masks, where.get("mask_dir"), found)
    return document


def _by_name(given: Mapping[str, Setting], found: list[Problem]) -> dict[str, Setting]:
    """Dataset options by our names; of two names for one option the later layer's counts."""
    where: dict[str, Setting] = {}
    for key, setting in given.items():
        name = TRAINERS_NAMES.get(key, key)
        if name not in TYPES or key == "batch_size":
            continue
        other = where.get(name)
        if other is not None and rank(other) == rank(setting):
            found.append(problem(setting, f"means the same as {other.written}", "take one of them out"))
        elif other is None or rank(other) < rank(setting):
            where[name] = setting
    return where


def _subsets(options: Table, where: Mapping[str, Setting], found: list[Problem]) -> list[Table]:
    of_subset = {key: value for key, value in options.items() if key in OF_SUBSET}
    path, setting = options.get("image_dir"), where.get("image_dir")
    if path is None or setting is None or "metadata_file" in options:
        if not of_subset.keys() & {"image_dir", "metadata_file"} and not any(p.key == "images_folder" for p in found):
            hint = "give the folder of your images, or custom_dataset"
            found.append(Problem("error", "configs", "images_folder", "is not given", hint))
        return [of_subset] if of_subset.keys() & {"image_dir", "metadata_file"} else []
    named = _named(path, found, setting)
    if named:
        if "num_repeats" in where:
            text = "has no effect: the sub-folders' names say how often"
            found.append(problem(where["num_repeats"], text, "take it out, or point images_folder at one sub-folder"))
        mask = options.get("mask_dir")
        for subset in named:
            name = os.path.basename(subset["image_dir"])
            subset.update({key: value for key, value in of_subset.items() if key not in ("image_dir", "num_repeats")})
            if mask is not None and os.path.isdir(os.path.join(mask, name)):
                subset["mask_dir"] = os.path.join(mask, name)
        return named
    guess = image_files.repeats_and_class(os.path.basename(path))
    from_name = {"num_repeats": guess[0], **({"class_tokens": guess[1]} if guess[1] else {})} if guess else {}
    return [{"image_dir": path, **from_name, **of_subset}]


def _named(path: str, found: list[Problem], setting: Setting) -> list[Table]:
    """A subset for each sub-folder like `10_name`; none where the folder itself contains images."""
    try:
        folder = image_files.listing(path)
    except (OSError, ValueError):
        return []  # reported by `checks`, as for any image_dir
    named = [(name, part) for name in folder.folders if (part := image_files.repeats_and_class(name))]
    if named and folder.images:
        text = f"contains images and sub-folders like {named[0][0]}: the sub-folders are not read"
        found.append(problem(setting, text, "move the images into a sub-folder of their own", "warning"))
        return []
    return [
        {"image_dir": os.path.join(path, name), "num_repeats": repeats, **({"class_tokens": words} if words else {})}
        for name, (repeats, words) in named
    ]


def _defaults(general: Document, subsets: list[Table]) -> None:
    """Written where the user gives nothing: buckets that fit the resolution, the captions' extension."""
    general.setdefault("enable_bucket", True)
    if general["enable_bucket"]:
        for key, value in bucket_defaults(general.get("resolution", 512)).items():
            general.setdefault(key, value)
    if "caption_extension" not in general:
        for extension in (".txt", ".caption"):
            if any(_has_captions(subset, extension) for subset in subsets):
                general["caption_extension"] = extension
                break


def bucket_defaults(resolution: object) -> dict[str, int]:
    sides = as_list(resolution)
    low, high = (320, 1280) if min(sides) > 640 else (256, 1024)
    # sd-scripts refuses a smallest bucket above the resolution and a largest one below it.
    low = min(low, min(sides) // 64 * 64 or min(sides))
    return {"min_bucket_reso": low, "max_bucket_reso": max(high, -(-max(sides) // 64) * 64), "bucket_reso_steps": 64}


def _has_captions(subset: Values, extension: str) -> bool:
    try:
        return bool(image_files.listing(subset["image_dir"]).captions(extension))
    except (OSError, ValueError, KeyError):
        return False


def apply_masks(document: Document, masks: str, setting: Setting | None, found: list[Problem]) -> None:
    """Keep, translate or drop each subset's mask_dir."""
    dropped = False
    for _, subset in each_subset(document):
        mask = subset.pop("mask_dir", None)
        if masks == "own" and mask is not None:
            subset["mask_dir"] = mask
        elif masks == "upstream":
            if mask is not None:
                subset.setdefault("conditioning_data_dir", mask)
            if "conditioning_data_dir" in subset:
                # sd-scripts' schema for subsets with masks has none of these.
                subset.pop("class_tokens", None)
                if wrong := [key for key in ("alpha_mask", "is_reg") if subset.pop(key, False)]:
                    found.append(problem(setting, f"masks and {wrong[0]} exclude each other", "take one of them out"))
            elif not subset.get("alpha_mask"):
                found.append(problem(setting, f"mask_loss is on and {subset.get('image_dir')} has no mask_dir"))
        dropped = dropped or (masks == "off" and mask is not None)
    if dropped:
        found.append(problem(setting, "mask_dir is dropped: mask_loss is off", "set mask_loss to true", "warning"))


def each_subset(document: Document) -> Iterator[tuple[Table, Table]]:
    """(dataset, subset), in the file's order."""
    for dataset in document.get("datasets", []):
        for subset in dataset.get("subsets", []):
            yield dataset, subset


def effective(document: Document, dataset: Values, subset: Values, key: str) -> Any:
    """An option as the trainer finds it, in the subset, the dataset or general; None: the trainer's default."""
    for table in (subset, dataset, document.get("general", {})):
        if table.get(key) is not None:
            return table[key]
    return None


def batch_sizes(document: Document) -> list[int]:
    """Those that the TOML sets, general's before the datasets' own."""
    tables = [document.get("general", {}), *document.get("datasets", [])]
    return [table["batch_size"] for table in tables if "batch_size" in table]


def any_subset_on(document: Document, key: str) -> bool:
    """Whether a switch is on for one of the subsets."""
    return any(effective(document, dataset, subset, key) is True for dataset, subset in each_subset(document))


def images_per_epoch(document: Document, held_out: Set[str]) -> int | None:
    """Images times repeats, without those that are held out; None where only the trainer can count them (metadata
    files)."""
    total = 0
    for dataset, subset in each_subset(document):
        try:
            count = len(image_files.listing(subset["image_dir"]).without(held_out))
        except (OSError, ValueError, KeyError):
            return None
        if not subset.get("is_reg"):
            total += count * (effective(document, dataset, subset, "num_repeats") or 1)
    return total
