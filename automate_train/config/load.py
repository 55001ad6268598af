"""Both config files, --set and the flags, as one sweep.

Covers: the layers and their order. Not: reading a layer (`config`), the machine (`machine`), which points are to be run
(`points`).
"""

from __future__ import annotations

from typing import Any

from ..cli.parser import SETTINGS, number
from ..errors import Problem, UserError
from ..records import Source
from ..sweep.product import Sweep, expand
from .layers import Layer, built_in, merge, parse_set, read


def settle(flags: Any) -> tuple[Sweep, list[Problem], dict[str, Any]]:
    """Both files, --set and the flags as one sweep; the settings of the sweep as a whole."""
    layers = [built_in()]
    if flags.default_config_path is not None:
        layers.append(read(flags.default_config_path, "default file"))
    if flags.tuning_config_path is not None:
        layers.append(read(flags.tuning_config_path, "tuning file"))
    if len(layers) == 1 and not flags.set:
        hint = "automate-train --default_config_path default.json --tuning_config_path tuning.json"
        raise UserError("no config file was given", hint=hint)
    layers.append(parse_set(flags.set))
    given = {key: value for key in SETTINGS if (value := getattr(flags, key)) is not None}
    if "port" in given:
        given["port"] = number("--port", given["port"], 1)
    layers.append(Layer(Source("command line"), given))
    merged, problems = merge(layers)
    start = number("--train_id_start", flags.train_id_start) if flags.train_id_start is not None else 0
    sweep = expand(merged.settings, number_start=start)
    return sweep, problems, {key: setting.value for key, setting in merged.settings.items()}
