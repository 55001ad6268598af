"""launch.json and resume.json of an attempt: what was asked for, and where an attempt goes on.

Covers: writing an attempt's folder from its `Launch`, reading both files back. Both may have been changed by anybody,
or come from the first edition. Not: the other files of the folder (their text is the trainer's), starting anything
(`executors`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ..records import Launch, Resume, RunRecord
from .files import LATEST, create, is_count, is_number, read_json
from .layout import AttemptFolder

_encode = json.JSONEncoder(ensure_ascii=False, default=str).encode
RUN = ("key", "id", "index", "number", "name", "slug", "varied", "options")
"""Fields of the run in launch.json."""


class LaunchFile(NamedTuple):
    """What launch.json holds; a field that it lacks, or that has another type, keeps its default."""

    argv: tuple[str, ...] = ()
    cwd: str = ""
    env: Mapping[str, str] = {}
    gpus: int | None = None
    keep: Mapping[str, str] | None = None
    """None: the file cannot be read, and nobody knows what is to be kept."""
    caches: tuple[str, ...] = ()
    """Paths of the shared caches that it fills or uses."""
    run: RunRecord | None = None
    devices: tuple[str, ...] = ()
    began: float = 0.0


def write_attempt(
    attempt: AttemptFolder,
    launch: Launch,
    run: RunRecord | None = None,
    devices: Sequence[str] = (),
    began: float = 0.0,
) -> None:
    """Make the folder and write what was asked for; `FileExistsError` when an earlier attempt is there."""
    path = str(attempt.path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    os.mkdir(path)
    os.mkdir(attempt.output)
    for name, text in launch.files.items():
        if "/" in name:
            os.makedirs(os.path.join(path, os.path.dirname(name)), exist_ok=True)
        create(os.path.join(path, name), text)
    if launch.resume is not None:
        state, step, uncounted = launch.resume.state, launch.resume.step, launch.resume.uncounted_steps
        create(attempt.resume, _encode({"state": state, "step": step, "not_counted": uncounted}) + "\n")
    write_launch(attempt, launch, run, devices, began)


def write_launch(
    attempt: AttemptFolder, launch: Launch, run: RunRecord | None, devices: Sequence[str], began: float
) -> None:
    """launch.json alone. `run`: which run this is, in case that the journal is lost."""
    asked = {
        "argv": launch.argv,
        "cwd": launch.cwd,
        "env": dict(launch.env),
        "secrets": sorted(launch.secrets),  # the names alone: what to set to run it by hand
        "gpus": launch.gpus,
        "keep": dict(launch.keep),
        "caches": [cache.path for cache in launch.caches if cache.fills],
        "run": None if run is None else {name: getattr(run, name) for name in RUN},
        "devices": list(devices),
        "began": began,
    }
    # One line a field: `indent` would take json's slow way, and this stands between a free device and its run.
    lines = (f'"{name}": {_encode(value)}' for name, value in asked.items())
    create(attempt.launch, "{" + ",\n ".join(lines) + "}\n")


def read_launch(attempt: AttemptFolder) -> LaunchFile:
    told = read_json(attempt.launch)
    found = told or {}
    gpus, began = found.get("gpus"), found.get("began")
    return LaunchFile(
        argv=_texts(found.get("argv")),
        cwd=cwd if isinstance(cwd := found.get("cwd"), str) else "",
        env=_text_mapping(found.get("env")),
        gpus=gpus if is_count(gpus) else None,
        keep=None if told is None else _text_mapping(found.get("keep")),
        caches=_texts(found.get("caches")),
        run=_run(found.get("run")),
        devices=_texts(found.get("devices")),
        began=float(began) if is_number(began) and 0 <= began < LATEST else 0.0,
    )


def read_resume(attempt: AttemptFolder) -> Resume | None:
    """Where the attempt goes on; None for one that begins from the start."""
    found = read_json(attempt.resume) if os.path.exists(attempt.resume) else None
    if found is None:
        return None
    step, uncounted = found.get("step"), found.get("not_counted")
    return Resume(str(found.get("state") or ""), step if is_count(step) else 0, uncounted if is_count(uncounted) else 0)


def _run(found: Any) -> RunRecord | None:
    if not isinstance(found, dict) or not all(is_count(found.get(name)) for name in ("index", "number")):
        return None
    key, name, slug, varied, options = (found.get(field) for field in ("key", "name", "slug", "varied", "options"))
    if not (isinstance(key, str) and isinstance(name, str) and isinstance(slug, str) and isinstance(options, dict)):
        return None
    id_ = found.get("id")  # the first edition gave none
    return RunRecord(key, found["index"], found["number"], name, slug, _text_mapping(varied), options,
                     id=id_ if isinstance(id_, str) else "")  # fmt: skip


def _texts(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()


def _text_mapping(value: object) -> dict[str, str]:
    return {str(name): str(each) for name, each in value.items()} if isinstance(value, dict) else {}
