"""A run's options as the trainer's two files will hold them.

Covers: which script, where each key belongs (automate-train, dataset, old name, the trainer's own, a fork's, unknown),
exact types. Nothing here depends on the attempt. Not: what old names mean (`legacy_keys`, `network`), the dataset
(`dataset`, `custom`), what the trainer would find on the disk (`checks`), this attempt's own values and the command
(`launcher`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ...config.key_sets import ALIASES, DATASET, OURS, TRANSLATED
from ...config.values import number
from ...errors import Problem, nearest
from ...records import Run, Setting, SweepContext
from ..launch_parts import device_count
from ..script_options.argument import Argument, check, convert, shown
from ..script_options.reader import accepted as options_of
from . import custom, dataset
from .legacy_keys import Options, learning_rates, masks, min_snr, optimizer, precision, samples, schedule, warmup
from .network import network
from .script import TINY, family_of, script_name, script_of
from .value_types import Table, Values, built_in, is_on, out_of_range, pairs, plain, problem, rank, set_options, text_in

FORK = re.compile(r"(gor)_\w+|(enable_hypertile)\w*|(contrastive_class_learning)\w*")
"""Options of forks, in groups that one switch turns on (mask_threshold: `legacy_keys.masks`)."""
SWITCHES = {"gor": "gor_regularization"}
"""Group -> its switch, where that is not the group's own name."""

WRITTEN = {
    "config_file": "the config file is written by automate-train",
    "output_config": "with it the trainer would write its options and stop",
}
"""The trainer's options that make no sense in a sweep."""
CRASHES = {"gor_regularization": "crashes in the fork that has it (aria1th/kohya_ss, 2024-04), in the first step"}
"""Options of forks that are known not to work."""
PAIRS = frozenset({"network_args", "optimizer_args", "lr_scheduler_args"})


class AnyOption(Mapping[str, Argument]):
    """Stands for the options of a script that cannot be read: it has each, of any type, but no old name."""

    def __contains__(self, name: object) -> bool:
        return name not in TRANSLATED

    def __getitem__(self, name: str) -> Argument:
        return Argument(name, "any")

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


@dataclass(frozen=True)
class Resolved:
    script: Path
    accepted: Mapping[str, Argument]
    given: Mapping[str, Setting]
    """What the user gave, by canonical keys, without what is not set."""
    settings: Mapping[str, Setting]
    """The trainer's options, each with where it comes from."""
    training: Values
    """The same values as the TOML will hold them."""
    document: dataset.Document
    """The dataset TOML, with the user's own image folders."""
    problems: tuple[Problem, ...]

    @property
    def is_read(self) -> bool:
        """Whether the script's own options are known."""
        return not isinstance(self.accepted, AnyOption)

    @property
    def is_tiny(self) -> bool:
        return self.script.parent == TINY

    @property
    def family(self) -> str:
        return family_of(self.script)


def resolve(run: Run, context: SweepContext) -> Resolved:
    """Everything about a run that does not depend on its attempt; `UserError` when no script can be read."""
    given = set_options(run.options)
    script = script_of(given)
    return _resolve(run, context, given, script, options_of(script))


def resolve_unread(run: Run, context: SweepContext) -> Resolved:
    """The same where no script can be read, for the checks that need none."""
    given = set_options(run.options)
    script = Path(text_in(given.get("repo_dir")) or "", script_name(given))
    return _resolve(run, context, given, script, AnyOption())


def _resolve(
    run: Run, context: SweepContext, given: Mapping[str, Setting], script: Path, accepted: Mapping[str, Argument]
) -> Resolved:
    own, old, found = _sort(given, accepted, script)
    options = Options(own, old, given, accepted, found=found)
    optimizer(options)
    schedule(options)
    min_snr(options)
    precision(options)
    family = family_of(script)
    network(options, family, (script.parent / "networks" / f"lora_{family}.py").is_file())
    learning_rates(options)
    how = "off" if isinstance(accepted, AnyOption) else masks(options)  # a fork's masks are named in another way
    samples(options, run.options)
    document = _document(given, accepted, how, options.found)
    _unless_given(options, document, context, run)
    warmup(options, document, context.held_out)
    training = _typed(options)
    return Resolved(script, accepted, given, options.settings, training, document, tuple(options.found))


def _sort(
    given: Mapping[str, Setting], accepted: Mapping[str, Argument], script: Path
) -> tuple[dict[str, Setting], dict[str, Setting], list[Problem]]:
    """(options by the trainer's own names, by old names, problems); automate-train's keys and the dataset's are in
    neither."""
    own: dict[str, Setting] = {}
    old: dict[str, Setting] = {}
    found: list[Problem] = []
    for key, setting in given.items():
        if key in OURS or key in DATASET or key in dataset.KEYS:
            continue
        if key in WRITTEN:
            found.append(problem(setting, WRITTEN[key], "take it out"))
        elif key in accepted:
            own[key] = setting
            if key in CRASHES and is_on(setting) and not isinstance(accepted, AnyOption):
                found.append(problem(setting, CRASHES[key], "set it to false", "warning"))
        elif key in TRANSLATED:
            old[key] = setting
        elif match := FORK.fullmatch(key):
            found.append(_of_a_fork(key, setting, next(filter(None, match.groups())), given, script))
        elif setting.source.label != "built-in":
            known = {*accepted, *OURS, *DATASET, *TRANSLATED, *ALIASES, *dataset.KEYS}
            text = f"is neither an option of {script.name} nor of automate-train"
            listing = f"automate-train args {script.parent} {script.name} lists what there is"
            hint = nearest(setting.written, sorted(known)) or listing
            found.append(problem(setting, text, hint))
    return own, old, found


def _of_a_fork(key: str, setting: Setting, group: str, given: Mapping[str, Setting], script: Path) -> Problem:
    """Dropped when it is off; an error when it is on, because the trainer would ignore it."""
    switch = SWITCHES.get(group, group)
    if switch in given and key != switch:
        on = is_on(given[switch])
    else:
        on = not (setting.value is False or str(setting.value).lower() == "false" or number(setting.value) == 0)
    if on:
        hint = f"set {switch} to false, or use a fork that has it"
        return problem(setting, f"{script.name} does not know it, and it is switched on", hint)
    return problem(setting, f"is dropped: {script.name} does not know it, and it is off", severity="warning")


def _document(
    given: Mapping[str, Setting], accepted: Mapping[str, Argument], how: str, found: list[Problem]
) -> dataset.Document:
    files = [given[key] for key in ("custom_dataset", "dataset_config") if key in given]
    if files:
        return custom.read(max(files, key=rank), given, accepted, how, found)
    return dataset.build(given, how, found)


def _unless_given(options: Options, document: dataset.Document, context: SweepContext, run: Run) -> None:
    """Data loaders sized to the cores that a run has, latents cached where nothing changes the images."""
    workers = max(1, min(8, context.cores // processes(run.options, context)))
    changed = any(dataset.any_subset_on(document, key) for key in ("flip_aug", "color_aug", "random_crop"))
    _default(options, "max_data_loader_n_workers", workers)
    if not changed:
        _default(options, "cache_latents", True)
    loaders = options.settings.get("max_data_loader_n_workers")
    if loaders is not None and number(loaders.value):
        _default(options, "persistent_data_loader_workers", True)


def _default(options: Options, key: str, value: object) -> None:
    if key not in options.settings:
        options.claim(key, value, built_in(key, value), needed=False)


def gpus(options: Mapping[str, Setting], context: SweepContext) -> int:
    """At least one device, also where cuda_device is empty; none on the CPU."""
    return 0 if context.cpu else max(1, device_count(options, context))


def processes(options: Mapping[str, Setting], context: SweepContext) -> int:
    """Trainer processes at one time, which share the cores. Where devices are shared, `context.slots` is their number:
    a run on two of them leaves room for fewer runs, not for more processes."""
    return max(1, context.slots, gpus(options, context))


def _typed(options: Options) -> Table:
    """Each value with the type that the trainer needs; a value that does not fit is a problem and is left out."""
    training: Table = {}
    for name, setting in options.settings.items():
        argument = options.accepted[name]
        value = pairs(setting.value) if name in PAIRS else setting.value
        if message := check(argument, value):
            options.say(setting, message)
            continue
        found = plain(convert(argument, value))
        if message := out_of_range(name, found):
            options.say(setting, message)
            continue
        if name in PAIRS and (wrong := [pair for pair in found if "=" not in pair]):
            options.say(setting, f"{shown(wrong[0])} is not key=value", 'give a list like ["a=1", "b=2"]')
            continue
        if argument.type == "bool" and isinstance(value, str):
            options.say(setting, f'the text "{value}" is read as the switch {value.strip().lower()}', warn=True)
        training[name] = found
    return training
