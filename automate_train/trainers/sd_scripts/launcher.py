"""The command that starts a run, with its environment and the files that it reads.

Covers: python of the trainer's environment, `accelerate launch` by flags, plain python with the same environment, the
hook, trackers, what is this attempt's own in training.toml. Not: what the user's options mean (`resolve`), starting it
(`executors/*`), which GPUs it gets (`placement`).
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...config.keys import DATASET, MASKED, SECRETS
from ...errors import UserError
from ...records import Launch, SweepContext
from ...store.layout import LOGS, AttemptFolder
from . import caches, resume, sample_wait, samples, toml_text
from .resolve import Resolved, gpus, processes
from .value_types import is_on, number, path_in, text_in

if TYPE_CHECKING:
    from ...records import Run

HOOK = Path(__file__).parents[2] / "hook"
PORTS, APART, LAST_PORT = 200, 211, 65535
"""How many ports are tried; how far the next one is from one that is taken (a prime: every port comes up)."""
ACCELERATE, TRACKER = "accelerate.json", "log_tracker.toml"


def launch(run: Run, resolved: Resolved, folder: AttemptFolder, context: SweepContext) -> Launch:
    """What starts this attempt. Nothing is written; ports are only looked at for runs with several processes."""
    path = Path(os.path.abspath(folder.path))
    document, links = caches.redirect(resolved.document, resolved.training, resolved.script.name, context.temp_dir)
    training, tracker = training_options(run, resolved, path, context)
    count = gpus(resolved.given, context)
    training |= (going_on := resume.options(folder, training, resolved.accepted, count))
    prompts = samples.copied(resolved)
    if prompts is not None:
        training["sample_prompts"] = str(path / samples.COPY)
    files = {
        AttemptFolder.TRAINING: toml_text.dumps(training),
        AttemptFolder.DATASET: toml_text.dumps(document),
        **({TRACKER: tracker} if tracker is not None else {}),
        **({samples.COPY: prompts} if prompts is not None else {}),
    }
    threads = max(1, context.cores // processes(resolved.given, context))
    precision = str(training.get("mixed_precision") or "no")
    env = {"PYTHONUNBUFFERED": "1", "COLUMNS": "300"}
    program = [str(resolved.script), "--config_file", str(path / AttemptFolder.TRAINING)]
    if _hooked(resolved):
        files |= {f"hook/{name}": text for name, text in _hook_sources().items()}
        files[AttemptFolder.HOOK] = _hook_settings(run, resolved, training, path, context)
        env["AUTOMATE_TRAIN_ATTEMPT"] = str(path)
        program.insert(0, str(path / AttemptFolder.HOOK_SCRIPT))
    python = trainer_python(resolved)
    if text_in(resolved.given.get("launcher")) == "python":
        if count > 1:
            text = f"the python launcher starts one process, and the run asks for {count} devices"
            raise UserError(text, key="launcher", hint='set "launcher" to "accelerate"')
        argv = [python, *program]
        env |= _as_accelerate_sets(precision, threads, context.cpu)
    else:
        files[ACCELERATE] = _accelerate_config(count, precision, context.cpu)
        flags = _flags(count, precision, threads, _port(run, resolved, count, context), context.cpu)
        shield = f"--config_file={path / ACCELERATE}"
        argv = [python, "-m", "accelerate.commands.launch", shield, *flags, *program]
    secrets = {SECRETS[key]: str(resolved.given[key].value) for key in SECRETS if key in resolved.given}
    point = resume.point(training, counts_all=resolved.is_tiny) if going_on else None
    return Launch(tuple(argv), os.getcwd(), env, secrets, files, count, _keep(resolved, training), links, point)


def training_options(
    run: Run, resolved: Resolved, path: Path, context: SweepContext
) -> tuple[dict[str, Any], str | None]:
    """training.toml's content, and the text of the trackers' own config when it is made from a template."""
    options = {key: value for key, value in resolved.training.items() if key not in ("output_dir", "output_name")}
    for key in PATHS:
        if isinstance(options.get(key), str) and os.path.exists(options[key]):
            options[key] = os.path.abspath(options[key])
    ours: dict[str, Any] = {
        "dataset_config": str(path / AttemptFolder.DATASET),
        "output_dir": str(path / AttemptFolder.OUTPUT),
        "output_name": output_name(run, resolved.training),
        "training_comment": f"{options.get('training_comment', '')} automate-train key={run.key}".strip(),
    }
    tracker = None
    if log_with := text_in(resolved.given.get("log_with")):
        ours["log_with"] = log_with
        ours["log_tracker_name"] = text_in(resolved.given.get("log_tracker_name")) or context.project
        options["logging_dir"] = tracker_folder(options.get("logging_dir"), path, context)
        options.setdefault("wandb_run_name", run.name)
        tracker = tracker_config(run, resolved)
        if tracker is not None:
            ours["log_tracker_config"] = str(path / TRACKER)
        elif config := path_in(resolved.given.get("log_tracker_config")):
            ours["log_tracker_config"] = config
    else:
        options.pop("logging_dir", None)  # upstream would turn TensorBoard on
    return {key: value for key, value in {**options, **ours}.items() if key in resolved.accepted}, tracker


def tracker_folder(given: Any, path: Path, context: SweepContext) -> str:
    """One folder an attempt, with its name, where the user wants the logs or in the home of all trackers."""
    home = os.path.join(os.path.abspath(context.temp_dir), LOGS, context.project)
    attempt = f"{path.parent.name}-{path.name.removeprefix('attempt-')}"
    return os.path.join(os.path.abspath(given) if given else home, attempt)


PATHS = (
    "pretrained_model_name_or_path vae ae clip_l clip_g t5xxl gemma2 network_weights resume tokenizer_cache_dir"
).split()
"""Options that may be a path: written absolute where it exists, so that the kept training.toml works from anywhere."""


def output_name(run: Run, training: Mapping[str, Any]) -> str:
    """The run's slug, or the user's own output_name; in a sweep with the slug after it, for runs must not share it."""
    own = training.get("output_name")
    return run.slug if not own else f"{own}-{run.slug}" if run.varied else str(own)


def tracker_config(run: Run, resolved: Resolved) -> str | None:
    """The template filled in: `{0}` the run's name, `{entity}` the W&B entity. `UserError` when it cannot be read."""
    setting = resolved.given.get("log_tracker_config_template")
    path = path_in(setting)
    if setting is None or path is None:
        return None
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        text = f"{path} cannot be read: {getattr(error, 'strerror', None) or error}"
        raise UserError(text, source=str(setting.source), key=setting.written) from None
    entity = resolved.given.get("entity_name")
    for place, word in (("{0}", run.name), ("{entity}", str(entity.value) if entity else "")):
        text = text.replace(place, json.dumps(word, ensure_ascii=False)[1:-1])
    import toml

    try:
        toml.loads(text)
    except Exception as error:  # the package raises IndexError and others on broken files
        text = f"{path} is no valid TOML: {error}"
        raise UserError(text, source=str(setting.source), key=setting.written) from None
    return text


def trainer_python(resolved: Resolved) -> str:
    """`venv_path`, else an environment beside the trainer, else the Python that runs us."""
    if given := path_in(resolved.given.get("venv_path")):
        return os.path.join(given, "bin", "python")
    repo = path_in(resolved.given.get("repo_dir")) or ""
    for folder in dict.fromkeys((repo, str(resolved.script.parent))):
        for name in ("venv", ".venv"):
            python = os.path.join(folder, name, "bin", "python")
            if not resolved.is_tiny and os.access(python, os.X_OK):
                return python
    return sys.executable


def ports(first: int, index: int, at_once: int) -> list[int]:
    """The ports that a run may take, the one to try first at the front.

    One run at a time takes the first free one from `first` on. Of several at a time each run has a place of its own
    (ports are chosen before the run before has opened its), and where that is taken one far away, for the next is
    another run's.
    """
    room = LAST_PORT + 1 - first
    if at_once < 2:
        return list(range(first, first + min(PORTS, room)))
    return [first + (index % PORTS + step * APART) % room for step in range(PORTS)]


def free_port(candidates: Sequence[int]) -> int | None:
    """The first port that nobody listens on."""
    import socket

    for port in candidates:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("", port))
            except OSError:
                continue
        return port
    return None


def _port(run: Run, resolved: Resolved, count: int, context: SweepContext) -> int:
    """A single process opens no port. Several get one that is free at this moment: this alone depends on it."""
    setting = resolved.given.get("port")
    first = number(setting.value) if setting else None
    first = int(first) if first and 0 < first <= LAST_PORT else 29500
    if count < 2:
        return first
    source, key = (str(setting.source), setting.written) if setting else ("built-in", "port")
    room = LAST_PORT + 1 - first
    if room < context.slots:
        text = f"{context.slots} runs at a time need a port each, and from {first} to {LAST_PORT} there are {room}"
        raise UserError(text, source=source, key=key, hint=f"choose one up to {LAST_PORT + 1 - context.slots}")
    port = free_port(ports(first, run.index, context.slots))
    if port is None:
        text = f"none of {min(PORTS, room)} ports from {first} on is free"
        raise UserError(text, source=source, key=key, hint="choose another first port")
    return port


def _flags(count: int, precision: str, threads: int, port: int, cpu: bool) -> list[str]:
    values = {
        "--num_processes": max(1, count), "--num_machines": 1, "--mixed_precision": precision, "--dynamo_backend": "no",
        "--num_cpu_threads_per_process": threads, "--main_process_port": port,
    }  # fmt: skip
    flags = [text for flag, value in values.items() for text in (flag, str(value))]
    return [*flags, *(["--multi_gpu"] if count > 1 else []), *(["--cpu"] if cpu else [])]


def _accelerate_config(count: int, precision: str, cpu: bool) -> str:
    """What the flags say, once more: without a file of ours accelerate would fill in its kind of launch and the GPU
    ids from the user's saved one."""
    return json.dumps(
        {
            "compute_environment": "LOCAL_MACHINE",
            "distributed_type": "MULTI_GPU" if count > 1 else "NO",
            "num_processes": max(1, count),
            "num_machines": 1,
            "machine_rank": 0,
            "gpu_ids": "all",
            "mixed_precision": precision,
            "use_cpu": cpu,
        },
        indent=1,
    )


def _as_accelerate_sets(precision: str, threads: int, cpu: bool) -> dict[str, str]:
    """What `accelerate launch` puts into the environment of a single process."""
    return {
        "ACCELERATE_MIXED_PRECISION": precision,
        "ACCELERATE_DYNAMO_BACKEND": "NO",
        "ACCELERATE_USE_CPU": str(cpu),
        "OMP_NUM_THREADS": str(threads),
        **({"KMP_AFFINITY": "granularity=fine,compact,1,0", "KMP_BLOCKTIME": "1"} if cpu else {}),
    }


def _hooked(resolved: Resolved) -> bool:
    setting = resolved.given.get("hook")
    return setting is None or is_on(setting)


@lru_cache(maxsize=1)
def _hook_sources() -> dict[str, str]:
    return {file.name: file.read_text(encoding="utf-8") for file in sorted(HOOK.glob("*.py")) if file.name[0] != "_"}


def _hook_settings(run: Run, resolved: Resolved, training: Mapping[str, Any], path: Path, context: SweepContext) -> str:
    settings = {
        "run_name": run.name,
        "project": training.get("log_tracker_name", context.project),
        "output_dir": training.get("output_dir"),
        "output_name": training.get("output_name"),
    }
    if title := resolved.given.get("process_title"):
        settings["process_title"] = f"python/{title.value}"
    settings |= sample_wait.settings(run.options)
    if log_with := text_in(resolved.given.get("log_with")):
        prompts = training.get("sample_prompts")
        settings["tracker_home"] = os.path.join(os.path.abspath(context.temp_dir), LOGS)
        settings["trackers"] = {
            "with": log_with,
            "name": run.name,
            "project": text_in(resolved.given.get("log_tracker_name")) or context.project,
            "group": context.project,
            "tags": ["automate-train"],
            "folder": tracker_folder(resolved.training.get("logging_dir"), path, context),
            "prompts": os.path.abspath(prompts) if isinstance(prompts, str) else None,
            "config": _tracker_config_values(run, resolved, training),
        }
    return json.dumps(settings, indent=1)


def _tracker_config_values(run: Run, resolved: Resolved, training: Mapping[str, Any]) -> dict[str, Any]:
    """What the trackers show as the run's options: the trainer's, the dataset's, what the sweep varies. No secrets."""
    asked = {key: each.value for key, each in resolved.given.items() if key in DATASET or key in run.varied}
    values = {**training, **asked, "automate_train_key": run.key}
    return {key: value for key, value in values.items() if key not in MASKED and value is not None}


def _keep(resolved: Resolved, training: Mapping[str, Any]) -> dict[str, str]:
    """What people find in target_path after success. A trainer's own output_dir means the same wish."""
    target = path_in(resolved.given.get("target_path")) or path_in(resolved.given.get("output_dir"))
    name = training.get("output_name")
    if target is None or name is None:
        return {}
    kept = {AttemptFolder.TRAINING: os.path.join(target, f"{name}.toml")}
    kind = training.get("save_model_as", "safetensors")
    if kind in ("safetensors", "ckpt", "pt"):
        file = f"{name}.{kind}"
        kept = {f"{AttemptFolder.OUTPUT}/{file}": os.path.join(target, file), **kept}
    return kept
