"""Any program, once a run: the smallest trainer, the one to copy for a new trainer (docs/command.md).

Covers: `"command": ["prog", "--lr", "{unet_lr}", "--out", "{output_dir}"]`, `cwd` and `env`, with placeholders for keys
of the configs and for `PLACES`. A value becomes a part of one argument, never an argument of its own and never shell
text. The program may report events; its `lora_file` is looked at and copied to target_path.
Not: what is wrong with a command (`command_options`); the hook, accelerate's settings, trackers: they are the program's
own business.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from ..config.key_sets import MASKED
from ..config.values import whole
from ..errors import Problem, UserError
from ..records import Event, Launch, Outcome, PictureFolder, Run, SweepContext
from ..store.events import read_events
from ..store.launch import read_launch
from ..store.layout import AttemptFolder
from . import ports, safetensors_file
from .command_options import (
    EVENTS,
    PLACES,
    SCORES,
    absolute,
    command_of,
    option_text,
    placeholder_problems,
    program_path,
    refused,
    start_problems,
    unread_keys,
    values_of,
    venv_environment,
)
from .failure_causes import failed
from .launch_parts import ATTEMPT, ENV, device_count, secrets, trial_attempt
from .picture_tree import picture_folders, without_held_out

LORA, SETTINGS = "**/*.safetensors", "settings.json"
"""The LoRA, unless `lora_file` says which it is; what is copied beside it: what made it, and whose it is."""


def problems(run: Run, context: SweepContext) -> list[Problem]:
    try:
        errors, _ = _plan(run, trial_attempt(run, context), context)
    except UserError as error:
        return [error.problem]
    return [*errors, *unread_keys(run.options)]


def needs_gpu(run: Run) -> bool:
    return False


def training_pictures(run: Run, context: SweepContext) -> list[PictureFolder]:
    """Those of images_folder, where the command names it."""
    folder = option_text(run.options, "image_dir")
    if not folder or "image_dir" not in command_of(run.options).names:
        hint = 'for example "images_folder": "/data/boy" and "command": ["prog", "--data", "{images_folder}"]'
        raise UserError("needs images_folder, and {images_folder} in the command", key="held_out", hint=hint)
    return list(picture_folders(absolute(folder)))


def prepare(run: Run, attempt: AttemptFolder, context: SweepContext) -> Launch:
    errors, launch = _plan(run, attempt, context)
    if errors:
        raise refused(errors[0])
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
    written = command_of(options)
    gpus, port = device_count(options, context), _port(run, context) if "port" in written.names else None
    places = (gpus, port, run.name, run.slug, run.index, folder.path, folder.output)
    values, links = values_of(options), None
    if context.held_out and "image_dir" in written.names:
        links = without_held_out(absolute(values["image_dir"]), context)
        values["image_dir"] = links.path
    command = written.filled({**values, **dict(zip(PLACES, map(str, places), strict=True))})
    env = {**ENV, **venv_environment(options), **command.env, ATTEMPT: str(folder.path)}
    env |= {EVENTS: str(folder.events), SCORES: str(folder.scores)}
    program = program_path(command, env.get("PATH"))
    lora, files, keep = option_text(options, "lora_file") or LORA, {}, {}
    if target := option_text(options, "target_path"):
        copy = os.path.join(absolute(target), run.slug)
        keep = {f"{folder.OUTPUT}/{lora}": copy + Path(lora).suffix, SETTINGS: copy + ".json"}
        files = {SETTINGS: _settings(run)}
    errors = [*placeholder_problems(options, written), *start_problems(options, command, program, port, lora, folder)]
    argv = (program or command.argv[0], *command.argv[1:])
    return errors, Launch(argv, command.cwd, env, secrets(options), files, gpus, keep, (links,) if links else ())


def _port(run: Run, context: SweepContext) -> int | None:
    """The first free port from `port` on, for this run alone."""
    option = run.options.get("port")
    given = whole(option.value) if option else None
    first = given if given is not None and 0 < given <= ports.LAST_PORT else 29500  # the preflight tells a wrong one
    return ports.free_port(ports.ports(first, run.index, context.slots))


def _settings(run: Run) -> str:
    """The run's options, for a person who has nothing but the LoRA; `training.delivery` finds the key in it."""
    options = {option.written: option.value for key, option in run.options.items() if key not in MASKED}
    about = {"name": run.name, "made_by": f"automate-train key={run.key}", "options": options}
    return json.dumps(about, ensure_ascii=False, indent=1, default=str) + "\n"
