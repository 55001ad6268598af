"""Any program, once a point: the smallest trainer, the sample to copy.

Covers: `"command": ["prog", "--lr", "{unet_lr}", "--out", "{output_dir}"]` with placeholders for keys of the configs
and
for {gpus} {name} {index} {folder} {output_dir}. Every value becomes a part of one argument, never an argument of its
own and never shell text. Not: the hook, accelerate, checkpoints; success is exit code 0.
"""

from __future__ import annotations

import os
import re
from functools import cache
from typing import TYPE_CHECKING

from ..config.keys import MASKED, OURS, SECRETS, canonical, unset
from ..config.layers import text_of
from ..errors import Problem, UserError, nearest
from ..records import Event, Launch, Outcome, SweepContext
from ..store.layout import AttemptFolder, new_events
from .failure_causes import explain

if TYPE_CHECKING:
    from ..records import Run

PLACES = ("gpus", "name", "index", "folder", "output_dir")
PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


def problems(run: Run, context: SweepContext) -> list[Problem]:
    """Unknown placeholders, keys that nothing uses, a program that is not there."""
    del context
    setting = run.options.get("command")
    source = str(setting.source) if setting else "command trainer"
    try:
        parts = _command(run)
    except UserError as error:
        return [error.problem]
    found: list[Problem] = []
    used = {canonical(name) for part in parts for name in PLACEHOLDER.findall(part)}
    for name in sorted(used - run.options.keys() - set(PLACES)):
        hint = nearest(name, [*run.options, *PLACES]) or f"placeholders are keys of the configs and {', '.join(PLACES)}"
        found.append(Problem("error", source, "command", f"{{{name}}} is no key of this sweep", hint))
    for name in sorted(used & MASKED):
        found.append(Problem("error", source, "command", f"{{{name}}} is a secret and may not stand on a command line"))
    for key, option in run.options.items():
        if key not in used and key not in OURS and option.source.label != "built-in":
            hint = f"put {{{option.written}}} into the command, or take the key out"
            found.append(Problem("error", str(option.source), option.written, "nothing in the command uses it", hint))
    if not PLACEHOLDER.search(parts[0]) and not _which(parts[0]):
        found.append(Problem("error", source, "command", f"there is no program {parts[0]!r}", "give its full path"))
    return found


def prepare(run: Run, folder: AttemptFolder, context: SweepContext) -> Launch:
    values = {
        "gpus": str(_gpus(run, context)),
        "name": run.name,
        "index": str(run.index),
        "folder": str(folder.path),
        "output_dir": str(folder.output),
    }

    def fill(match: re.Match[str]) -> str:
        name = match[1]
        if name in values:
            return values[name]
        option = run.options.get(canonical(name))
        if option is None:
            raise UserError(f"{match[0]} is no key of this sweep", key="command")
        return "" if unset(option.value) else text_of(option.value)

    argv = [PLACEHOLDER.sub(fill, part) for part in _command(run)]
    if bad := [part for part in argv if "\0" in part]:
        raise UserError(f"the argument {bad[0]!r} holds a NUL character", key="command")
    program = _which(argv[0])
    if program is None:
        raise UserError(f"there is no program {argv[0]!r}", key="command", hint="give its full path")
    env = {"PYTHONUNBUFFERED": "1", "COLUMNS": "300", "AUTOMATE_TRAIN_ATTEMPT": str(folder.path)}
    secrets = {
        name: str(run.options[key].value)
        for key, name in SECRETS.items()
        if key in run.options and not unset(run.options[key].value)
    }
    return Launch((os.path.abspath(program), *argv[1:]), os.getcwd(), env, secrets, gpus=_gpus(run, context))


def events(folder: AttemptFolder, offset: int) -> tuple[list[Event], int]:
    """A program that knows us may write events.jsonl into `$AUTOMATE_TRAIN_ATTEMPT`, as the hook does."""
    return new_events(folder.events, offset)


def verdict(folder: AttemptFolder, exit_code: int) -> Outcome:
    if exit_code == 0:
        return Outcome("succeeded", 0)
    cause, why = explain(exit_code, folder.tail(200))
    return Outcome("failed", exit_code, why, cause.name)


def _gpus(run: Run, context: SweepContext) -> int:
    """One GPU unless `cuda_device` says otherwise; `"cuda_device": ""` is a program that needs none."""
    option = run.options.get("cuda_device")
    if context.cpu or (option is not None and unset(option.value)):
        return 0
    return len([part for part in str(option.value).split(",") if part.strip()]) if option else 1


def _command(run: Run) -> list[str]:
    option = run.options.get("command")
    value = option.value if option else None
    if isinstance(value, (list, tuple)) and value and all(_is_text(part) for part in value) and str(value[0]):
        return [part if isinstance(part, str) else text_of(part) for part in value]
    raise UserError(
        "the command trainer needs a list of texts",
        source=str(option.source) if option else "",
        key="command",
        hint='for example "command": ["python", "train.py", "--lr", "{unet_lr}"]',
    )


@cache
def _which(program: str) -> str | None:
    if os.path.isabs(program) and os.path.isfile(program) and os.access(program, os.X_OK):
        return program
    import shutil

    return shutil.which(program)


def _is_text(part: object) -> bool:
    return isinstance(part, (str, int, float)) and not isinstance(part, bool)
