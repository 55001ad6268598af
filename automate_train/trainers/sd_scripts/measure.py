"""How checkpoints are measured on held-out pictures, as data: a program in the trainer's own Python.

Covers: what defines the measure (the base model and what changes its predictions), read from an attempt's folder; the
one set of other options for the whole sweep, from a reference attempt: never a run's own loss, noise or rate.
Not: the measuring (`measure_model`, `trainers/tiny/measure`), which checkpoints (`judging`).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

from ...config.toml_file import parse, parse_flat
from ...errors import UserError
from ...records import Launch
from ...store.files import open_regular
from ...store.launch import LaunchFile, read_launch
from ...store.layout import AttemptFolder
from ..launch_parts import ENV
from .script import TINY, family_of

PROGRAM = Path(__file__).parents[1] / "measure_program.py"
DEFINING = (
    "pretrained_model_name_or_path vae v2 v_parameterization zero_terminal_snr clip_skip max_token_length"
).split()
"""Options that change what is measured: runs that differ in them have different measures."""
SHARED = "mixed_precision xformers sdpa mem_eff_attn".split()
"""Options that change numbers in their last digits, and memory: the reference's for the whole sweep."""
PLACES = ("tokenizer_cache_dir", "lowram")
"""Options without which the base cannot be loaded, and that change no number."""
FAMILIES = ("", "sdxl")
"""Those with a noise schedule of 1,000 timesteps, of which one can be asked for. The others draw theirs by their own
options, and loading them needs what only their training prepares."""
NEEDED = "def get_noise_pred_and_target"
"""What sd-scripts' trainers have since 2024, and old forks lack."""
LARGEST = 1 << 20


def measure(attempt: AttemptFolder, reference: AttemptFolder) -> Launch:
    """`UserError`: its checkpoints cannot be measured, and why."""
    launch, options, shared = read_launch(attempt), _options(attempt), _options(reference)
    python, script = _program(attempt, launch.argv)
    tiny = script.parent == TINY or script.parent.name == "tiny"
    if not tiny and (text := why_not(script)):
        raise UserError(text, source=str(attempt.path))
    defining = {key: options[key] for key in DEFINING if options.get(key) not in (None, "", False)}
    common = {key: shared[key] for key in SHARED if shared.get(key) not in (None, "", False)}
    pixels = _pixels(reference, shared)
    names = {key: _identity(value) if isinstance(value, str) else value for key, value in defining.items()}
    setup = {
        "module": str(script.with_name("measure.py") if tiny else Path(__file__).with_name("measure_model.py")),
        "script": str(script),
        "options": {**common, **{key: options[key] for key in PLACES if key in options}, **defining},
        "pixels": pixels,
        "defines": {"script": script.name, **names, **common, "pixels": pixels},
    }
    started = read_launch(reference)
    env = {**ENV, "TOKENIZERS_PARALLELISM": "false", **_threads(started)}
    gpus = min(1, started.gpus or 0)
    text = json.dumps(setup, ensure_ascii=False, indent=1, default=str) + "\n"
    return Launch((python, str(PROGRAM), "measure.json"), "", env, files={"measure.json": text}, gpus=gpus)


def _threads(started: LaunchFile) -> dict[str, str]:
    """As many threads as the reference's training has: trainings may run beside, and sums of floats depend on it."""
    argv, flag = started.argv, "--num_cpu_threads_per_process"
    given = started.env.get("OMP_NUM_THREADS") or next((b for a, b in pairwise(argv) if a == flag), "")
    return {"OMP_NUM_THREADS": given} if re.fullmatch(r"[1-9]\d{0,3}", given) else {}


def _program(attempt: AttemptFolder, argv: tuple[str, ...]) -> tuple[str, Path]:
    """(the trainer's Python, its script), by the attempt's command."""
    if "--config_file" not in argv[1:]:
        raise UserError("does not say which script has trained", source=str(attempt.launch))
    python, script = argv[0], Path(argv[argv.index("--config_file") - 1])
    if not os.access(python, os.X_OK):
        raise UserError(f"the trainer's Python {python} is gone", source=str(attempt.launch))
    if not script.is_file():
        raise UserError(f"the trainer's script {script} is gone", source=str(attempt.launch))
    return python, script


def why_not(script: Path) -> str:
    """Why the checkpoints of a script of sd-scripts cannot be measured; empty where they can."""
    family = family_of(script)
    if not script.stem.endswith("train_network"):
        return f"{script.name} trains no LoRA: only checkpoints of *train_network.py are measured"
    if family not in FAMILIES:
        return f"checkpoints of {script.name} are not measured: only those of SD 1.5, SD 2 and SDXL"
    if NEEDED not in _text(script.with_name("train_network.py")):
        return f"{script.parent} has an older sd-scripts, whose model cannot be asked for its error"
    return ""


def _options(attempt: AttemptFolder) -> dict[str, object]:
    return parse_flat(_text(attempt.training), str(attempt.training))


def _text(path: Path) -> str:
    try:
        with open_regular(path) as file:
            return file.read(LARGEST).decode("utf-8", "replace")
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror or error}", source=str(path)) from None


def _pixels(reference: AttemptFolder, shared: Mapping[str, object]) -> int:
    """Of the size at which pictures are measured: the reference's resolution."""
    file = reference.path / reference.DATASET
    document = parse(_text(file), str(file)) if file.exists() else {}
    datasets, general = document.get("datasets"), document.get("general")
    first = datasets[0] if isinstance(datasets, list) and datasets else {}
    given = next((table["resolution"] for table in (first, general, shared)
                  if isinstance(table, dict) and table.get("resolution")), 512)  # fmt: skip
    sides = [int(side) for side in re.findall(r"\d{1,5}", str(given))] or [512]
    return max(sides[0], 8) * max(sides[-1], 8)


def _identity(path: str) -> str:
    """A model by its name and size: the same wherever the sweep and the model are moved to."""
    if os.path.isfile(path):
        return f"{os.path.basename(path)} ({os.path.getsize(path)} bytes)"
    if os.path.isdir(path):
        files = (os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names)
        size = sum(os.path.getsize(file) for file in files if os.path.isfile(file))
        return f"{os.path.basename(path.rstrip('/'))} ({size} bytes)"
    return path
