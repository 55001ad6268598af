"""The values of settings in the types that this package needs, and problems that name a setting.

Covers: which of two settings wins, numbers and switches however old files write them, paths. Not: what a key means
(`legacy_keys`, `dataset`), the trainer's own types (`script_options.argument`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ...config.key import MOST
from ...config.key_sets import BY_NAME
from ...config.values import number, on, text_of, unset
from ...errors import Problem, Severity, UserError
from ...records import Setting, Source
from ..script_options.argument import outside

Table = dict[str, Any]
"""A table of a TOML file."""
Values = Mapping[str, Any]
"""A table that is only read."""

RANGES: dict[str, tuple[float, float]] = {
    "seed": (0, 2**32 - 1),  # numpy takes no other
    "network_dropout": (0, 1),
    **dict.fromkeys(
        "learning_rate network_alpha max_data_loader_n_workers max_grad_norm save_last_n_epochs "
        "save_last_n_steps".split(),
        (0, MOST),
    ),
    **dict.fromkeys(
        "network_dim train_batch_size gradient_accumulation_steps max_train_steps save_every_n_steps clip_skip "
        "sample_every_n_epochs sample_every_n_steps save_n_epoch_ratio lr_scheduler_num_cycles".split(),
        (1, MOST),
    ),
}
"""Limits of the trainer's own options; those of other keys are in the table of keys."""

LAYERS = ("built-in", "default file", "tuning file", "--set", "command line")


def set_options(options: Mapping[str, Setting]) -> dict[str, Setting]:
    """The options that have a value: old files write null, "" and "None" for "not given"."""
    return {key: setting for key, setting in options.items() if not unset(setting.value)}


def out_of_range(name: str, value: object) -> str | None:
    """What is wrong with an option's value, in words, where it has limits."""
    return outside(BY_NAME[name].range if name in BY_NAME else RANGES.get(name), value)


def rank(setting: Setting) -> int:
    """The layer's place, low to high: of two settings for one option the higher rank wins."""
    label = setting.source.label
    return LAYERS.index(label) if label in LAYERS else len(LAYERS)


def built_in(key: str, value: object) -> Setting:
    return Setting(value, Source("built-in"), key)


def is_on(setting: Setting | None) -> bool:
    return setting is not None and on(setting.value)


def text_in(setting: Setting | None) -> str | None:
    """A setting's text; None where it has another type (the checks of our own keys report that)."""
    return setting.value if setting is not None and isinstance(setting.value, str) else None


def path_in(setting: Setting | None) -> str | None:
    text = text_in(setting)
    return absolute(text) if text else None


def absolute(path: str) -> str:
    """A path as the user's shell would understand it: `~`, and relative to where the command was typed."""
    try:
        return os.path.abspath(os.path.expanduser(path))
    except ValueError:  # NUL
        return path


def problem(setting: Setting | None, message: str, hint: str = "", severity: Severity = "error") -> Problem:
    source, key = (str(setting.source), setting.written) if setting else ("", "")
    return Problem(severity, source, key, message, hint)


def refused(problem: Problem) -> UserError:
    """The error that ends `prepare` with a problem."""
    return UserError(problem.message, source=problem.source, key=problem.key, hint=problem.hint)


def as_list(value: Any) -> list[Any] | tuple[Any, ...]:
    """One value as a list of one."""
    return value if isinstance(value, (list, tuple)) else [value]


def number_texts(value: object) -> list[str] | None:
    """The numbers of a list, or of the text of one, as texts; None when something among them is not a number."""
    parts = as_list(value.strip("[]() ").split(",") if isinstance(value, str) else value)
    if not parts or any(number(part) is None for part in parts):
        return None
    return [text_of(part).strip() for part in parts]


def pairs(value: object) -> object:
    """`["a=1", "b=2"]` of a list or of one text `"a=1 b=2"`; anything else as it is, for `argument.check`."""
    if not isinstance(value, str):
        return value
    parts = value.split()
    return parts if all("=" in part for part in parts) else [value]


def plain(value: object) -> Any:
    """Without our number type, which a TOML writer does not know."""
    if isinstance(value, float):
        return float(value)
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    return value


def on_one_line(text: str) -> str:
    """A path in a message: a name may hold line breaks."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
