"""The command that starts a run, with its environment and the files that it reads.

Covers: the parts of a `Launch` put together, this attempt's own values in training.toml, what is copied to target_path
after success. Not: what the user's options mean (`resolve`), how processes are started (`accelerate`), starting them
(`executors`), which GPUs the run gets (`training.placement`).
"""

from __future__ import annotations

import os
from pathlib import Path

from ...records import Launch, Run, SweepContext
from ...store.layout import AttemptFolder
from ..launch_parts import ATTEMPT, ENV, secrets
from . import accelerate, caches, hook_files, prompt_file, resume, toml_text, trackers
from .resolve import Resolved, gpus, processes
from .trainer_python import trainer_python
from .value_types import Table, Values, is_on, path_in, problem, refused, text_in

PATHS = (
    "pretrained_model_name_or_path vae ae clip_l clip_g t5xxl gemma2 network_weights resume tokenizer_cache_dir"
).split()
"""Options that may be a path: written absolute where it exists, so that the kept training.toml works from anywhere."""


def launch(run: Run, resolved: Resolved, attempt: AttemptFolder, context: SweepContext) -> Launch:
    """What starts this attempt. Nothing is written."""
    path = Path(os.path.abspath(attempt.path))
    document, links = caches.redirect(resolved.document, resolved.training, resolved.script.name, context)
    training = training_options(run, resolved, path, context)
    count = gpus(resolved.given, context)
    training |= (going_on := resume.options(attempt, training, resolved.accepted, count))
    prompts = prompt_file.copied(resolved)
    if prompts is not None:
        training["sample_prompts"] = str(path / prompt_file.COPY)
    tracker_config = trackers.config(run, resolved)
    files = {
        AttemptFolder.TRAINING: toml_text.dumps(training),
        AttemptFolder.DATASET: toml_text.dumps(document),
        **({trackers.CONFIG: tracker_config} if tracker_config is not None else {}),
        **({prompt_file.COPY: prompts} if prompts is not None else {}),
    }
    env = dict(ENV)
    program = [str(resolved.script), "--config_file", str(path / AttemptFolder.TRAINING)]
    point = resume.point(training, counts_all=resolved.is_tiny) if going_on else None
    hook = resolved.given.get("hook")
    if hook is None or is_on(hook):
        files |= hook_files.files(run, resolved, training, path, context, point)
        env[ATTEMPT] = str(path)
        program.insert(0, str(path / AttemptFolder.HOOK_SCRIPT))
    threads = max(1, context.cores // processes(resolved.given, context))
    started = accelerate.Processes(count, str(training.get("mixed_precision") or "no"), threads, context.cpu)
    python = trainer_python(resolved)
    launcher = resolved.given.get("launcher")
    if text_in(launcher) == "python":
        if count > 1:
            text = f"the python launcher starts one process, and the run asks for {count} devices"
            raise refused(problem(launcher, text, 'set "launcher" to "accelerate"'))
        argv = [python, *program]
        env |= started.environment()
    else:
        files[accelerate.CONFIG] = started.config()
        port = accelerate.port_of(run, resolved.given.get("port"), count, context)
        flags = started.flags(path / accelerate.CONFIG, port)
        argv = [python, "-c", accelerate.START, *flags, *program]
    hidden, kept = secrets(resolved.given), _kept(resolved, training)
    return Launch(tuple(argv), os.getcwd(), env, hidden, files, count, kept, links, point)


def training_options(run: Run, resolved: Resolved, path: Path, context: SweepContext) -> Table:
    """training.toml's content, but for where a resumed run goes on and the copied prompt file."""
    # logging_dir alone would turn on sd-scripts' TensorBoard.
    left_out = ("output_dir", "output_name", *([] if "log_with" in resolved.given else ["logging_dir"]))
    options = {key: value for key, value in resolved.training.items() if key not in left_out}
    for key in PATHS:
        if isinstance(options.get(key), str) and os.path.exists(options[key]):
            options[key] = os.path.abspath(options[key])
    ours = {
        **trackers.of_run(run, resolved, path, context),
        "dataset_config": str(path / AttemptFolder.DATASET),
        "output_dir": str(path / AttemptFolder.OUTPUT),
        "output_name": output_name(run, resolved.training),
        "training_comment": f"{options.get('training_comment', '')} automate-train key={run.key}".strip(),
        **trackers.of_sweep(resolved, path, context),
    }
    return {key: value for key, value in {**options, **ours}.items() if key in resolved.accepted}


def output_name(run: Run, training: Values) -> str:
    """The run's slug, or the user's own output_name; in a sweep with the slug after it, so that no two are the same."""
    own = training.get("output_name")
    return run.slug if not own else f"{own}-{run.slug}" if run.varied else str(own)


def _kept(resolved: Resolved, training: Values) -> dict[str, str]:
    """What is copied to target_path after success. The trainer's own output_dir is understood as target_path."""
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
