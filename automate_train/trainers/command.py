"""Any program, once a run: the smallest trainer, the one to copy for a new trainer.

Covers: `"command": ["prog", "--lr", "{unet_lr}", "--out", "{output_dir}"]`, with placeholders for keys of the configs
and for {gpus} {name} {index} {folder} {output_dir}. A value becomes a part of one argument, never an argument of its
own and never shell text. Not: the hook, accelerate, checkpoints; success is exit code 0.
"""

from __future__ import annotations

import os
import re
import shutil
from functools import cache

from ..config.key_sets import MASKED, OURS, canonical
from ..config.values import text_of, unset
from ..errors import Problem, UserError, nearest
from ..records import Event, Launch, Outcome, Run, SweepContext
from ..store.events import read_events
from ..store.layout import AttemptFolder
from .failure_causes import failed
from .launch_parts import ATTEMPT, ENV, device_count, secrets, trial_attempt

PLACES = ("gpus", "name", "index", "folder", "output_dir")
PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


def problems(run: Run, context: SweepContext) -> list[Problem]:
    """Unknown placeholders, keys that nothing uses, a program that is not there."""
    try:
        parts, source = _command(run)
    except UserError as error:
        return [error.problem]
    found: list[Problem] = []
    used = {canonical(name) for part in parts for name in PLACEHOLDER.findall(part)}
    for name in sorted(used - run.options.keys() - set(PLACES)):
        hint = nearest(name, [*run.options, *PLACES]) or f"placeholders are keys of the configs and {', '.join(PLACES)}"
        found.append(Problem("error", source, "command", f"{{{name}}} is not a key of this sweep", hint))
    for name in sorted(used & MASKED):
        found.append(Problem("error", source, "command", f"{{{name}}} is a secret and may not be on a command line"))
    for key, option in run.options.items():
        if key not in used and key not in OURS and option.source.label != "built-in":
            hint = f"put {{{option.written}}} into the command, or remove the key"
            found.append(Problem("error", str(option.source), option.written, "nothing in the command uses it", hint))
    if not any(problem.key == "command" for problem in found):
        try:
            prepare(run, trial_attempt(run, context), context)
        except UserError as error:
            found.append(error.problem)
    elif not PLACEHOLDER.search(parts[0]) and _which(parts[0]) is None:
        found.append(Problem("error", source, "command", f"there is no program {parts[0]!r}", "give its full path"))
    return found


def needs_gpu(run: Run) -> bool:
    return False


def prepare(run: Run, attempt: AttemptFolder, context: SweepContext) -> Launch:
    parts, source = _command(run)
    gpus = device_count(run.options, context)
    places = (str(gpus), run.name, str(run.index), str(attempt.path), str(attempt.output))
    values = {name: "" if unset(option.value) else text_of(option.value) for name, option in run.options.items()}
    values |= dict(zip(PLACES, places, strict=True))

    def fill(match: re.Match[str]) -> str:
        name = match[1] if match[1] in PLACES else canonical(match[1])
        if name not in values:
            raise UserError(f"{match[0]} is not a key of this sweep", source=source, key="command")
        if name in MASKED:
            raise UserError(f"{match[0]} is a secret and may not be on a command line", source=source, key="command")
        return values[name]

    argv = [PLACEHOLDER.sub(fill, part) for part in parts]
    program = _which(argv[0])
    if program is None:
        raise UserError(f"there is no program {argv[0]!r}", source=source, key="command", hint="give its full path")
    env = {**ENV, ATTEMPT: str(attempt.path)}
    return Launch((os.path.abspath(program), *argv[1:]), os.getcwd(), env, secrets(run.options), gpus=gpus)


def events(attempt: AttemptFolder, cursor: int) -> tuple[list[Event], int]:
    """A program may write events.jsonl into `$AUTOMATE_TRAIN_ATTEMPT`, as the hook does."""
    return read_events(attempt, cursor)


def verdict(attempt: AttemptFolder, exit_code: int) -> Outcome:
    return failed(exit_code, attempt.tail(200)) if exit_code else Outcome("succeeded", 0)


def disk_bytes(run: Run, context: SweepContext) -> tuple[int, int]:
    """What a program writes is not known."""
    del run, context
    return 0, 0


def _command(run: Run) -> tuple[list[str], str]:
    """The parts with their placeholders, and where they were written."""
    option = run.options.get("command")
    source, value = (str(option.source), option.value) if option else ("", None)
    if isinstance(value, (list, tuple)) and value and all(_is_text(part) for part in value) and str(value[0]):
        return [text_of(part) for part in value], source
    hint = 'for example "command": ["python", "train.py", "--lr", "{unet_lr}"]'
    raise UserError("the command trainer needs a list of texts", source=source, key="command", hint=hint)


@cache
def _which(program: str) -> str | None:
    if os.path.isabs(program) and os.path.isfile(program) and os.access(program, os.X_OK):
        return program
    return shutil.which(program)


def _is_text(part: object) -> bool:
    return isinstance(part, (str, int, float)) and not isinstance(part, bool)
