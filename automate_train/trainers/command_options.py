"""What the command trainer reads of a run's options: the command, its variables and folder, placeholders.

Covers: `command`, `env` and `cwd` as the configs give them, filling their placeholders, which program that is, and
everything that is wrong with it; keys that nothing reads. Not: the launch (`command`).
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from ..config.key_sets import BY_NAME, MASKED, OURS, SECRETS, canonical
from ..config.values import on, text_of, unset
from ..errors import Problem, Severity, UserError, nearest
from ..records import Setting
from ..store.layout import AttemptFolder
from .launch_parts import ATTEMPT

PLACES = ("gpus", "port", "name", "slug", "index", "folder", "output_dir")
PLACEHOLDER = re.compile(r"\{([A-Za-z_]\w*(?:\.\w+)*)\}", re.ASCII)
EVENTS = "AUTOMATE_TRAIN_EVENTS"
"""Tells the program the file to which it may append events."""
SCORES = "AUTOMATE_TRAIN_SCORES"
"""The same for scores (`store/scores`)."""
READ = {"trainer", "command", "cwd", "env", "venv_path", "cuda_device", "lora_file", "use_external_webui", *SECRETS}
"""Keys of ours that mean something here, beside those of the sweep, and of samples where a WebUI draws them."""

OF_VENV = ("python", "python3", "accelerate")
"""Programs that must be the environment's own, where `venv_path` names one."""
HINTS = {ATTEMPT: "", EVENTS: "", SCORES: "", "CUDA_VISIBLE_DEVICES": "use cuda_device"} | {
    variable: f"use {key}, which is written nowhere" for key, variable in SECRETS.items()
}
"""Variables that `env` may not hold -> what to do instead."""

Options = Mapping[str, Setting]


class Command(NamedTuple):
    """What is to be started, before or after its placeholders were filled in."""

    argv: list[str]
    env: dict[str, str]
    cwd: str

    @property
    def names(self) -> list[str]:
        """The keys that placeholders name, each once."""
        return names([*self.argv, *self.env.values(), self.cwd])

    def filled(self, values: Mapping[str, str]) -> Command:
        """With the values of its placeholders, and `cwd` absolute; a placeholder without a value stays as it is."""

        def fill(text: str) -> str:
            return PLACEHOLDER.sub(lambda match: values.get(canonical(match[1]), match[0]), text)

        env = {name: fill(value) for name, value in self.env.items()}
        return Command([fill(part) for part in self.argv], env, absolute(fill(self.cwd)))


def command_of(options: Options) -> Command:
    """As the configs give it; `UserError` where they do not."""
    value = options["command"].value if "command" in options else None
    if isinstance(value, (list, tuple)) and value and all(map(_is_text, value)) and str(value[0]):
        return Command([text_of(part) for part in value], _environment(options), option_text(options, "cwd"))
    example = 'for example "command": ["python", "train.py", "--lr", "{unet_lr}"]'
    raise refused(problem(options, "command", "the command trainer needs a list of texts", example))


def _environment(options: Options) -> dict[str, str]:
    """The variables of `env`, without those that are null."""
    value = options["env"].value if "env" in options else None
    given = {} if unset(value) else value
    example = 'for example "env": {"OMP_NUM_THREADS": 4, "OUT": "{output_dir}"}'
    if not isinstance(given, dict) or not all(each is None or _is_text(each) for each in given.values()):
        raise refused(problem(options, "env", "needs an object of texts and numbers", example))
    for name in given:
        if name in HINTS:
            raise refused(problem(options, "env", f"{name} is set by automate-train", HINTS[name]))
        if not name or "=" in name:
            raise refused(problem(options, "env", f"{name!r} is not the name of a variable", example))
    return {name: text_of(each) for name, each in given.items() if each is not None}


def option_text(options: Options, key: str) -> str:
    """A setting's text; empty where it is not set."""
    return "" if key not in options or unset(options[key].value) else text_of(options[key].value)


def names(texts: list[str]) -> list[str]:
    """The keys that placeholders name, each once."""
    return sorted({canonical(name) for text in texts for name in PLACEHOLDER.findall(text)})


def values_of(options: Options) -> dict[str, str]:
    """What a placeholder of each key stands for; secrets stand for nothing."""
    return {
        name: "" if unset(option.value) else text_of(option.value)
        for name, option in options.items()
        if name not in MASKED
    }


def absolute(path: str) -> str:
    """As the user's shell would understand it, where the command was typed."""
    return os.path.abspath(os.path.expanduser(path))


def venv_environment(options: Options) -> dict[str, str]:
    """The variables by which the programs of `venv_path` are found before others."""
    venv = option_text(options, "venv_path")
    path = os.path.join(absolute(venv), "bin") + os.pathsep + os.environ.get("PATH", os.defpath)
    return {"VIRTUAL_ENV": absolute(venv), "PATH": path} if venv else {}


def program_path(command: Command, path: str | None) -> str | None:
    """The program's file, found as a shell would find it in the command's folder; None where there is none."""
    program = command.argv[0]
    return _which(os.path.join(command.cwd, program) if os.sep in program else program, path)


@cache
def _which(program: str, path: str | None) -> str | None:
    found = shutil.which(program, path=path)
    return os.path.abspath(found) if found else None


# what is wrong


def placeholder_problems(options: Options, command: Command) -> Iterator[Problem]:
    """`command`: before they were filled in."""
    for key, texts in (("command", command.argv), ("env", list(command.env.values())), ("cwd", [command.cwd])):
        for name in names(texts):
            if name in MASKED:
                hint = f"the program finds it in the variable {BY_NAME[name].environment}" if name in SECRETS else ""
                yield problem(options, key, f"{{{name}}} is a secret and may be in no command and no file", hint)
            elif name not in options and name not in PLACES:
                known = f"placeholders are keys of the configs and {', '.join(PLACES)}"
                hint = nearest(name, [*options, *PLACES]) or known
                yield problem(options, key, f"{{{name}}} is not a key of this sweep", hint)


def start_problems(
    options: Options, command: Command, program: str | None, port: int | None, lora: str, folder: AttemptFolder
) -> Iterator[Problem]:
    """`command`: as it would be started, by its `program` (None: not found), on its `port` (None: none is free)."""
    if port is None and "port" in command_of(options).names:
        yield problem(options, "port", "no port from there on is free", "choose another first port")
    venv, name, cwd = option_text(options, "venv_path"), command.argv[0], command.cwd
    in_venv = os.path.join(absolute(venv), "bin", name)
    if not PLACEHOLDER.search(cwd) and not os.path.isdir(cwd) and not Path(cwd).is_relative_to(folder.path):
        yield problem(options, "cwd", f"there is no folder {cwd}")
    elif venv and name in OF_VENV and not os.access(in_venv, os.X_OK):
        yield problem(options, "venv_path", f"there is no {in_venv}")
    elif program is None and not PLACEHOLDER.search(name) and not PLACEHOLDER.search(cwd):
        yield problem(options, "command", f"there is no program {name!r}", "give its full path")
    if os.path.isabs(lora) or ".." in Path(lora).parts:
        yield problem(options, "lora_file", f"{lora} is not inside output_dir", "for example **/*.safetensors")


def unread_keys(options: Options) -> Iterator[Problem]:
    """Keys that nothing reads: an error, and for those that other trainers or the sweep know, a warning."""
    used = command_of(options).names
    webui = "use_external_webui" in options and on(options["use_external_webui"].value)
    for name, option in options.items():
        key = BY_NAME.get(name)
        reader = key.reader if key else ""
        if option.source.label == "built-in" or unset(option.value) or name in READ or reader == "sweep":
            continue
        if name in PLACES and name != "port":
            yield problem(options, name, f"is ignored: {{{name}}} stands for the run's own", severity="warning")
        elif name in used or (webui and reader == "sampling"):
            continue
        elif name in OURS:
            hint = f"put {{{option.written}}} into the command, or remove the key"
            yield problem(options, name, "the command trainer ignores it", hint, "warning")
        else:
            hint = f"put {{{option.written}}} into the command, or remove the key"
            yield problem(options, name, "nothing in the command uses it", hint)


def _is_text(part: object) -> bool:
    return isinstance(part, (str, int, float)) and not isinstance(part, bool)


def problem(options: Options, key: str, message: str, hint: str = "", severity: Severity = "error") -> Problem:
    option = options.get(key)
    return Problem(severity, str(option.source) if option else "", option.written if option else key, message, hint)


def refused(problem: Problem) -> UserError:
    return UserError(problem.message, source=problem.source, key=problem.key, hint=problem.hint)
