"""The parts of a `Launch` that are the same for every trainer.

Covers: environment variables, secrets, how many devices a run takes, where links to pictures are, a folder for checks
before there is an attempt.
Not: the command (each trainer's own), which devices a run gets (`training.placement`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from hashlib import blake2b

from ..config.key_sets import SECRETS
from ..config.values import unset
from ..records import Run, Setting, SweepContext
from ..store.layout import DATASETS, AttemptFolder

ENV = {"PYTHONUNBUFFERED": "1", "COLUMNS": "300"}
"""The console is read while the process writes it, and its progress bars have room."""
ATTEMPT = "AUTOMATE_TRAIN_ATTEMPT"
"""Tells the process its attempt's folder, where it may write events.jsonl."""


def secrets(options: Mapping[str, Setting]) -> dict[str, str]:
    """Environment variable -> secret. They are on no command line and in no file."""
    given = {name: options[key].value for key, name in SECRETS.items() if key in options}
    return {name: str(value) for name, value in given.items() if not unset(value)}


def device_count(options: Mapping[str, Setting], context: SweepContext) -> int:
    """One device, or as many as `cuda_device` lists: none where it is empty, and none on the CPU."""
    listed = options.get("cuda_device")
    if context.cpu or (listed is not None and unset(listed.value)):
        return 0
    return len([part for part in str(listed.value).split(",") if part.strip()]) if listed else 1


def links_folder(depends: object, pictures: str, context: SweepContext) -> str:
    """Where the folder of links to a folder of pictures is; another one for each `depends`, under the same name."""
    digest = blake2b(json.dumps(depends, sort_keys=True).encode(), digest_size=8).hexdigest()
    name = os.path.basename(pictures.rstrip("/")) or "pictures"
    return os.path.join(os.path.abspath(context.temp_dir), DATASETS, digest, name)


def trial_attempt(run: Run, context: SweepContext) -> AttemptFolder:
    """A folder as the run's first attempt may get: `problems` prepares the run for it, and nothing is written."""
    return AttemptFolder(os.path.join(context.temp_dir, context.project, run.slug, "attempt-1"))
