"""The shapes of the JSON that the hook reads, for the type checker alone: no attempt gets a copy of this file.

Covers: hook.json (`trainers/sd_scripts/hook_files` writes it) and the events `tracker`, which come back in it when a
training goes on. Not: checking them at run time.
"""

from __future__ import annotations

from typing import TypedDict


class TrackerRun(TypedDict, total=False):
    """What reopening a tracker's run needs to know; `project` and what follows: W&B's alone."""

    run: str | None
    where: str
    project: str | None
    entity: str | None
    group: str | None
    title: str | None
    offline: bool
    row: int


class Resumed(TypedDict, total=False):
    """A training that goes on after `step`, in the `runs` (by tracker) of the attempt before. `uncounted_steps`: those
    of the whole training that the trainer leaves out."""

    step: int
    uncounted_steps: int
    runs: dict[str, TrackerRun]


class TrackerSettings(TypedDict, total=False):
    """Names of the run and where it is logged: `folder` is TensorBoard's, of this run; `home` the other trackers', of
    all runs. `config`: the options to show; `prompts`: the trainer's prompt file. `with`, too, which trackers are
    wanted: as a word of Python's it cannot be declared here."""

    name: str
    project: str
    group: str
    tags: list[str]
    folder: str
    home: str
    config: dict[str, object]
    prompts: str | None
    resumed: Resumed


class Settings(TypedDict, total=False):
    """hook.json. `wait_for_samples` is in seconds; `sample_opt` (epoch or step) and `sample_num` say where."""

    process_title: str
    output_dir: str | None
    output_name: str | None
    wait_for_samples: float
    sample_opt: str
    sample_num: int
    tracker_home: str
    trackers: TrackerSettings
