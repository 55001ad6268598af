"""The options of TensorBoard, W&B and Aim, for the trainer and for the hook.

Covers: names and folders of the trackers, their own config from the user's template, what they show as the run's
options. Not: opening them and logging to them (`hook/hook_live_trackers`).
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import toml

from ...config.key_sets import DATASET, MASKED
from ...records import Resume, Run, SweepContext
from ...store.events import read_events
from ...store.layout import LOGS, AttemptFolder
from .resolve import Resolved
from .value_types import Table, Values, path_in, problem, refused, text_in

CONFIG = "log_tracker.toml"


def folder(given: object, path: Path, context: SweepContext) -> str:
    """One folder an attempt, with its name, where the user wants the logs or in the home of all trackers."""
    home = os.path.join(os.path.abspath(context.temp_dir), LOGS, context.project)
    attempt = f"{path.parent.name}-{path.name.removeprefix('attempt-')}"
    return os.path.join(os.path.abspath(str(given)) if given else home, attempt)


def of_run(run: Run, resolved: Resolved, path: Path, context: SweepContext) -> Table:
    """The trainer's options that place and name this run; {} where the user wants no tracker."""
    if "log_with" not in resolved.given:
        return {}
    where = folder(resolved.training.get("logging_dir"), path, context)
    return {"logging_dir": where, "wandb_run_name": resolved.training.get("wandb_run_name", run.name)}


def of_sweep(resolved: Resolved, path: Path, context: SweepContext) -> Table:
    """The trainer's options about which trackers there are, alike for all runs; {} where the user wants none."""
    log_with = text_in(resolved.given.get("log_with"))
    if not log_with:
        return {}
    project = text_in(resolved.given.get("log_tracker_name")) or context.project
    config = path_in(resolved.given.get("log_tracker_config"))
    if "log_tracker_config_template" in resolved.given:
        config = str(path / CONFIG)
    found = {"log_with": log_with, "log_tracker_name": project}
    return found | ({"log_tracker_config": config} if config else {})


def config(run: Run, resolved: Resolved) -> str | None:
    """The template filled in: `{0}` the run's name, `{entity}` the W&B entity; None where there is no template.
    `UserError` when it cannot be read."""
    setting = resolved.given.get("log_tracker_config_template")
    path = path_in(setting)
    if path is None or "log_with" not in resolved.given:
        return None
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise refused(problem(setting, f"{path} cannot be read: {reason}")) from None
    entity = resolved.given.get("entity_name")
    for place, word in (("{0}", run.name), ("{entity}", str(entity.value) if entity else "")):
        text = text.replace(place, json.dumps(word, ensure_ascii=False)[1:-1])
    try:
        toml.loads(text)
    except Exception as error:  # the package raises IndexError and others on broken files
        raise refused(problem(setting, f"{path} is not valid TOML: {error}")) from None
    return text


def hook_settings(
    run: Run, resolved: Resolved, training: Values, path: Path, context: SweepContext, resume: Resume | None
) -> Table:
    """What hook.json says about trackers; {} where the user wants none. A training that goes on does so in the runs of
    the attempt whose state it takes."""
    log_with = text_in(resolved.given.get("log_with"))
    if not log_with:
        return {}
    prompts = training.get("sample_prompts")
    trackers = {
        "with": log_with,
        "name": run.name,
        "project": text_in(resolved.given.get("log_tracker_name")) or context.project,
        "group": context.project,
        "tags": ["automate-train"],
        "folder": folder(resolved.training.get("logging_dir"), path, context),
        "prompts": os.path.abspath(prompts) if isinstance(prompts, str) else None,
        "config": _shown_options(run, resolved, training),
    }
    if resume is not None:
        runs = _tracker_runs(AttemptFolder(Path(resume.state).parents[1]))
        trackers["folder"] = runs.get("tensorboard", {}).get("where") or trackers["folder"]
        trackers["resumed"] = {"step": resume.step, "uncounted_steps": resume.uncounted_steps, "runs": runs}
    return {"tracker_home": os.path.join(os.path.abspath(context.temp_dir), LOGS), "trackers": trackers}


def _tracker_runs(attempt: AttemptFolder) -> dict[str, Table]:
    """Tracker -> the last event that says which run it was."""
    events = read_events(attempt)[0]
    return {str(each.data.get("name")): dict(each.data) for each in events if each.kind == "tracker"}


def _shown_options(run: Run, resolved: Resolved, training: Values) -> Table:
    """The options that trackers show of a run: the trainer's, the dataset's, what the sweep varies. No secrets."""
    ours = {key: each.value for key, each in resolved.given.items() if key in DATASET or key in run.varied}
    values = {**training, **ours, "automate_train_key": run.key}
    return {key: value for key, value in values.items() if key not in MASKED and value is not None}
