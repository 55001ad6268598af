"""The `slurm` object of a run's options, as options of sbatch.

Covers: which options sbatch gets, from what a person wrote and how many GPUs the run takes; what is wrong with the
object by itself. Not: whether the cluster accepts them (`slurm_checks` asks sbatch), the batch script (`slurm_script`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from ..config.values import bad_letter, text_of, unset
from ..records import Run

OURS = frozenset(
    "job-name output error input open-mode array export export-file wrap parsable wait test-only hold".split()
)
"""Options that automate-train sets itself, or that would make something else of a run than one job."""
GPUS = frozenset("gres gpus gpus-per-node gpus-per-task gpus-per-socket tres-per-task".split())
"""Options by which a person may ask for GPUs in words of the cluster."""
COUNTED = re.compile(r"(?:^|,)(?:gres[:/])?gpu(?::[A-Za-z_][\w.-]*)?:(\d+)(?:\(.*\))?$")
USR1_SECONDS = 120
"""Seconds before the time limit at which a run is told of it."""


def table_of(run: Run) -> Mapping[str, object]:
    """The `slurm` object of a run; {} where it has none."""
    option = run.options.get("slurm")
    return option.value if option is not None and isinstance(option.value, dict) else {}


def options(table: Mapping[str, object], gpus: int) -> tuple[str, ...]:
    """`--partition=gpu`, one text an option; those of `extra` last, so that they win."""
    named = dict(_named(table))
    if gpus and not GPUS & {*named, *map(_name, _extra(table))}:
        named["gres"] = f"gpu:{gpus}"
    if not {"no-requeue", "requeue"} & named.keys():
        named["requeue"] = True
    named.setdefault("signal", f"B:USR1@{USR1_SECONDS}")
    written = ((name, "" if value is True else f"={text_of(value)}") for name, value in named.items())
    return (*(f"--{name}{value}" for name, value in written), *_extra(table))


def problems(value: object, gpus: int) -> Iterator[str]:
    """What is wrong with the object, in words. `gpus`: how many the run takes by `cuda_device`."""
    if unset(value):
        return
    if not isinstance(value, dict):
        yield 'needs an object, for example {"partition": "gpu", "time": "8:00:00"}'
        return
    extra = value.get("extra")
    if not unset(extra) and not (isinstance(extra, list) and all(isinstance(each, str) for each in extra)):
        yield 'extra needs a list of texts, for example ["--constraint=a100"]'
        return
    for each in _extra(value):
        if not re.fullmatch(r"--?[A-Za-z].*", each):
            yield f"extra: {each!r:.60} is no option of sbatch; write --name=value"
    for name, given in value.items():
        if isinstance(given, (dict, list)) and _dashed(name) != "extra":
            yield f"{name} needs a text or a number, not {given!s:.60}"
    for text in (*map(text_of, value.values()), *_extra(value)):
        if "\n" in text or bad_letter(text):
            yield f"{text!r:.60} cannot be an option: it has more than one line"
    for name in sorted(OURS & {*(_dashed(name) for name in value), *map(_name, _extra(value))}):
        yield f"{name} is set by automate-train"
    asked = COUNTED.search(str(dict(_named(value)).get("gres", "")))
    if asked and gpus and int(asked[1]) != gpus:
        yield f"gres asks for {asked[1]} GPUs, and the run takes {gpus} (cuda_device)"


def _named(table: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    for name, value in table.items():
        if _dashed(name) != "extra" and not unset(value) and value is not False:
            yield _dashed(name), value


def _extra(table: Mapping[str, object]) -> list[str]:
    extra = table.get("extra")
    return [str(each) for each in extra] if isinstance(extra, list) else []


def _name(option: str) -> str:
    return option.lstrip("-").partition("=")[0]


def _dashed(name: str) -> str:
    return name.lstrip("-").replace("_", "-")
