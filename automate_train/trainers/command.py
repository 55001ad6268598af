"""Any program, once a run: the smallest trainer, the one to copy for a new trainer (docs/command.md).

Covers: `"command": ["prog", "--lr", "{unet_lr}", "--out", "{output_dir}"]`, `cwd` and `env`, with placeholders for keys
of the configs and for `PLACES`. A value becomes a part of one argument, never an argument of its own and never shell
text. The program may report events; its `lora_file` is looked at and copied to target_path.
Not: the hook, accelerate's settings, trackers: they are the program's own business.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from ..config.key_sets import BY_NAME, MASKED, OURS, SECRETS, canonical
from ..config.values import on, text_of, unset
from ..errors import Problem, Severity, UserError, nearest
from ..records import Event, Launch, Outcome, Run, Setting, SweepContext
from ..store.events import read_events
from ..store.launch import read_launch
from ..store.layout import AttemptFolder
from . import ports, safetensors_file
from .failure_causes import failed
from .launch_parts import ATTEMPT, ENV, device_count, secrets, trial_attempt

PLACES = ("gpus", "port", "name", "slug", "index", "folder", "output_dir")
PLACEHOLDER = re.compile(r"\{([A-Za-z_]\w*(?:\.\w+)*)\}", re.ASCII)
EVENTS = "AUTOMATE_TRAIN_EVENTS"
"""Tells the program the file to which it may append events."""
READ = {"trainer", "command", "cwd", "env", "venv_path", "cuda_device", "lora_file", "use_external_webui", *SECRETS}
"""Keys of ours that mean something here, beside those of the sweep, and of samples where a WebUI draws them."""
OF_VENV = ("python", "python3", "accelerate")
"""Programs that must be the environment's own, where `venv_path` names one."""
LORA, SETTINGS = "**/*.safetensors", "settings.json"
"""The LoRA, unless `lora_file` says which it is; what is copied beside it: what made it, and whose it is."""

Options = Mapping[str, Setting]


def problems(run: Run, context: SweepContext) -> list[Problem]:
    try:
        errors, _ = _plan(run, trial_attempt(run, context), context)
    except UserError as error:
        return [error.problem]
    return [*errors, *_unread(run.options)]


def needs_gpu(run: Run) -> bool:
    return False


def prepare(run: Run, attempt: AttemptFolder, context: SweepContext) -> Launch:
    errors, launch = _plan(run, attempt, context)
    if errors:
        raise _refused(errors[0])
    return launch


def events(attempt: AttemptFolder, cursor: int) -> tuple[list[Event], int]:
    return read_events(attempt, cursor)


def verdict(attempt: AttemptFolder, exit_code: int) -> Outcome:
    """Exit code 0 and a LoRA without a fault; without target_path there need not be one."""
    if exit_code:
        return failed(exit_code, attempt.tail(200))
    wanted = next(iter(read_launch(attempt).keep or ()), "")
    file = attempt.newest(wanted or f"{attempt.OUTPUT}/{LORA}")
    if file is None and wanted:
        return Outcome("failed", 0, f"no {wanted} was written, which is to be copied to target_path")
    wrong = safetensors_file.fault(file) if file is not None and file.suffix == ".safetensors" else ""
    return Outcome("failed", 0, f"{file.name} {wrong}") if file and wrong else Outcome("succeeded", 0)


def disk_bytes(run: Run, context: SweepContext) -> tuple[int, int]:
    """What a program writes is not known."""
    return 0, 0


def _plan(run: Run, attempt: AttemptFolder, context: SweepContext) -> tuple[list[Problem], Launch]:
    """What starts the run, and everything that is wrong with it. `UserError` where there is no command."""
    options, folder = run.options, AttemptFolder(os.path.abspath(attempt.path))
    command, environment, cwd = _command(options), _environment(options), _text(options, "cwd")
    errors = [
        *_placeholders(options, "command", command),
        *_placeholders(options, "env", list(environment.values())),
        *_placeholders(options, "cwd", [cwd]),
    ]
    gpus = device_count(options, context)
    uses_port = "port" in _names([*command, *environment.values(), cwd])
    port = _port(run, context) if uses_port else None
    if port is None and uses_port:
        errors.append(_problem(options, "port", "no port from there on is free", "choose another first port"))
    places = (gpus, port, run.name, run.slug, run.index, folder.path, folder.output)
    values = {name: "" if unset(option.value) else text_of(option.value) for name, option in options.items()}
    values |= dict(zip(PLACES, map(str, places), strict=True))

    def fill(text: str) -> str:
        return PLACEHOLDER.sub(lambda match: values.get(canonical(match[1]), match[0]), text)

    cwd = _absolute(fill(cwd))
    if not PLACEHOLDER.search(cwd) and not os.path.isdir(cwd) and not Path(cwd).is_relative_to(folder.path):
        errors.append(_problem(options, "cwd", f"there is no folder {cwd}"))
    env = dict(ENV)
    program, *arguments = map(fill, command)
    if venv := _text(options, "venv_path"):
        bin_folder = os.path.join(_absolute(venv), "bin")
        env |= {"VIRTUAL_ENV": _absolute(venv), "PATH": bin_folder + os.pathsep + os.environ.get("PATH", os.defpath)}
        if program in OF_VENV and not os.access(os.path.join(bin_folder, program), os.X_OK):
            errors.append(_problem(options, "venv_path", f"there is no {bin_folder}/{program}"))
    env |= {name: fill(value) for name, value in environment.items()}
    found = _which(os.path.join(cwd, program) if os.sep in program else program, env.get("PATH"))
    if (
        found is None
        and not PLACEHOLDER.search(program)
        and not any(each.key in ("cwd", "venv_path") for each in errors)
    ):
        errors.append(_problem(options, "command", f"there is no program {program!r}", "give its full path"))
    env |= {ATTEMPT: str(folder.path), EVENTS: str(folder.events)}
    lora = _text(options, "lora_file") or LORA
    if os.path.isabs(lora) or ".." in Path(lora).parts:
        errors.append(_problem(options, "lora_file", f"{lora} is not inside output_dir", f"for example {LORA}"))
    files, keep = {}, {}
    if target := _text(options, "target_path"):
        copy = os.path.join(_absolute(target), run.slug)
        keep = {f"{folder.OUTPUT}/{lora}": copy + Path(lora).suffix, SETTINGS: copy + ".json"}
        files = {SETTINGS: _settings(run)}
    return errors, Launch((found or program, *arguments), cwd, env, secrets(options), files, gpus, keep)


def _placeholders(options: Options, key: str, texts: list[str]) -> Iterator[Problem]:
    for name in _names(texts):
        if name in MASKED:
            hint = f"the program finds it in the variable {BY_NAME[name].environment}" if name in SECRETS else ""
            yield _problem(options, key, f"{{{name}}} is a secret and may be in no command and no file", hint)
        elif name not in options and name not in PLACES:
            hint = nearest(name, [*options, *PLACES]) or f"placeholders are keys of the configs and {', '.join(PLACES)}"
            yield _problem(options, key, f"{{{name}}} is not a key of this sweep", hint)


def _unread(options: Options) -> Iterator[Problem]:
    """Keys that nothing reads: an error, and for those that other trainers or the sweep know, a warning."""
    used = set(_names([*_command(options), *_environment(options).values(), _text(options, "cwd")]))
    webui = "use_external_webui" in options and on(options["use_external_webui"].value)
    for name, option in options.items():
        key = BY_NAME.get(name)
        reader = key.reader if key else ""
        if option.source.label == "built-in" or unset(option.value) or name in READ or reader == "sweep":
            continue
        if name in PLACES and name != "port":
            yield _problem(options, name, f"is ignored: {{{name}}} stands for the run's own", severity="warning")
        elif name in used or (webui and reader == "sampling"):
            continue
        elif name in OURS:
            hint = f"put {{{option.written}}} into the command, or remove the key"
            yield _problem(options, name, "the command trainer ignores it", hint, "warning")
        else:
            hint = f"put {{{option.written}}} into the command, or remove the key"
            yield _problem(options, name, "nothing in the command uses it", hint)


def _command(options: Options) -> list[str]:
    value = options["command"].value if "command" in options else None
    if isinstance(value, (list, tuple)) and value and all(map(_is_text, value)) and str(value[0]):
        return [text_of(part) for part in value]
    example = 'for example "command": ["python", "train.py", "--lr", "{unet_lr}"]'
    raise _refused(_problem(options, "command", "the command trainer needs a list of texts", example))


def _environment(options: Options) -> dict[str, str]:
    """The variables of `env`, without those that are null."""
    value = options["env"].value if "env" in options else None
    given = {} if unset(value) else value
    example = 'for example "env": {"OMP_NUM_THREADS": 4, "OUT": "{output_dir}"}'
    if not isinstance(given, dict) or not all(each is None or _is_text(each) for each in given.values()):
        raise _refused(_problem(options, "env", "needs an object of texts and numbers", example))
    for name in given:
        if name in HINTS:
            raise _refused(_problem(options, "env", f"{name} is set by automate-train", HINTS[name]))
        if not name or "=" in name:
            raise _refused(_problem(options, "env", f"{name!r} is not the name of a variable", example))
    return {name: text_of(each) for name, each in given.items() if each is not None}


HINTS = {ATTEMPT: "", EVENTS: "", "CUDA_VISIBLE_DEVICES": "use cuda_device"} | {
    variable: f"use {key}, which is written nowhere" for key, variable in SECRETS.items()
}
"""Variables that `env` may not hold -> what to do instead."""


def _port(run: Run, context: SweepContext) -> int | None:
    """The first free port from `port` on, for this run alone."""
    text = _text(run.options, "port")
    first = int(text) if text.isdecimal() and 0 < int(text) <= ports.LAST_PORT else 29500
    return ports.free_port(ports.ports(first, run.index, context.slots))


def _settings(run: Run) -> str:
    """The run's options, for a person who has nothing but the LoRA; `training.delivery` finds the key in it."""
    options = {option.written: option.value for key, option in run.options.items() if key not in MASKED}
    about = {"name": run.name, "made_by": f"automate-train key={run.key}", "options": options}
    return json.dumps(about, ensure_ascii=False, indent=1, default=str) + "\n"


@cache
def _which(program: str, path: str | None) -> str | None:
    found = shutil.which(program, path=path)
    return os.path.abspath(found) if found else None


def _names(texts: list[str]) -> list[str]:
    """The keys that placeholders name, each once."""
    return sorted({canonical(name) for text in texts for name in PLACEHOLDER.findall(text)})


def _text(options: Options, key: str) -> str:
    """A setting's text; empty where it is not set."""
    return "" if key not in options or unset(options[key].value) else text_of(options[key].value)


def _absolute(path: str) -> str:
    """As the user's shell would understand it, where the command was typed."""
    return os.path.abspath(os.path.expanduser(path))


def _is_text(part: object) -> bool:
    return isinstance(part, (str, int, float)) and not isinstance(part, bool)


def _problem(options: Options, key: str, message: str, hint: str = "", severity: Severity = "error") -> Problem:
    option = options.get(key)
    return Problem(severity, str(option.source) if option else "", option.written if option else key, message, hint)


def _refused(problem: Problem) -> UserError:
    return UserError(problem.message, source=problem.source, key=problem.key, hint=problem.hint)
