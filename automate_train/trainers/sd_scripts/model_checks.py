"""What is wrong with the models that a run names: one is missing, broken, or of another family than is trained.

Covers: files, diffusers folders, names on the hub (not looked up). A base model's family is told by the names of the
tensors in a .safetensors file, or by model_index.json. Facts about files are remembered, so hundreds of runs read them
once. Not: the family of pickled files (.ckpt), because reading one runs code.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from ...errors import Problem
from .. import safetensors_file
from .resolve import Resolved
from .value_types import path_in, problem

HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
MODEL_FILES = (".safetensors", ".ckpt", ".pt", ".pth", ".bin")
MODELS = "pretrained_model_name_or_path vae ae clip_l clip_g t5xxl gemma2 network_weights".split()
BASE = MODELS[0]
NEEDED = {"flux": ("ae", "clip_l", "t5xxl"), "lumina": ("ae", "gemma2")}
"""Family -> the models that its script loads beside the base model."""

MARKS = {
    "lora_": "LoRA",
    "conditioner.embedders.": "SDXL",
    "cond_stage_model.model.": "SD 2",
    "cond_stage_model.transformer.": "SD 1.5",
    "joint_blocks.": "SD 3",
    "double_blocks.": "FLUX",
}
"""How the name of a tensor begins (also after `model.diffusion_model.`) -> what the file is."""
PIPELINES = {"StableDiffusionXL": "SDXL", "StableDiffusion3": "SD 3", "Flux": "FLUX", "StableDiffusion": "SD 1.5"}
"""How `_class_name` of a diffusers folder begins -> what it is; SD 2 by the size of its text encoder."""
TRAINED = {"": "SD 1.5", "sdxl": "SDXL", "sd3": "SD 3", "flux": "FLUX"}
"""Family of a script -> what its base model must be (with `v2`: SD 2)."""
CHOOSES = {
    "SD 1.5": "take out sdxl, model_type and v2",
    "SD 2": "set v2 to true",
    "SDXL": "set sdxl to true",
    "SD 3": "set model_type to sd3",
    "FLUX": "set model_type to flux",
}
MAX_JSON = 1 << 20


def problems(resolved: Resolved) -> Iterator[Problem]:
    if resolved.is_tiny:
        return
    if BASE not in resolved.settings:
        hint = "give a model file, a diffusers folder, or a name on the hub"
        yield Problem("error", "configs", "model_file", "is not given", hint)
    for name in MODELS:
        value = resolved.training.get(name)
        if not isinstance(value, str):
            continue
        if message := model_problem(value, name):
            yield problem(resolved.settings[name], message)
        elif name == BASE:
            yield from _family(resolved, os.path.abspath(value))
    for name in NEEDED.get(resolved.family, ()):
        if name in resolved.accepted and not resolved.training.get(name):
            yield Problem(
                "error", "configs", name, f"is not given, and {resolved.script.name} needs it", "give its file"
            )


def model_problem(value: str, name: str = "") -> str | None:
    """What is wrong with a model: a file, a diffusers folder, or a name on the hub (`org/name`)."""
    path = os.path.abspath(value)
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        is_file = value.lower().endswith(MODEL_FILES)
        is_name = HUB_NAME.fullmatch(value) and not is_file and name in (BASE, "vae")
        return None if is_name else f"there is no file or folder {value!r}"
    if stat.S_ISDIR(status.st_mode):
        whole = name != BASE or os.path.exists(os.path.join(path, "model_index.json"))
        return None if whole else f"{path} is not a diffusers folder: it has no model_index.json"
    if not stat.S_ISREG(status.st_mode):
        return f"{path} is not a file or folder"
    if not path.lower().endswith(".safetensors"):
        return None if status.st_size else f"{path} is empty"
    return _header(path, status.st_size, status.st_mtime_ns)[0]


@lru_cache(maxsize=1024)
def _header(path: str, size: int, changed: int) -> tuple[str | None, str]:
    """(what is wrong with a .safetensors file, what it is by its tensors: empty where that is not known)."""
    try:
        names = [name.removeprefix("model.diffusion_model.") for name in safetensors_file.read(path).tensors]
    except safetensors_file.Broken as broken:
        return f"{path} {broken}", ""
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}", ""
    return None, next((kind for mark, kind in MARKS.items() if any(name.startswith(mark) for name in names)), "")


def _family(resolved: Resolved, path: str) -> Iterator[Problem]:
    trained = TRAINED.get(resolved.family)
    if trained == "SD 1.5" and resolved.training.get("v2") is True:
        trained = "SD 2"
    if trained is None or not os.path.exists(path):
        return
    found = _kind(path)
    if found and found != trained:
        setting = resolved.settings[BASE]
        text = f"{path_in(setting) or path} is a model of {found}, and the run trains one of {trained}"
        if found == "LoRA":
            text = f"{path} is a LoRA, and the run needs a base model"
        yield problem(setting, text, CHOOSES.get(found, "a LoRA to go on from is network_weights"))


def _kind(path: str) -> str:
    """What a base model is; empty where that is not known."""
    if os.path.isdir(path):
        name = str(_json(Path(path, "model_index.json")).get("_class_name"))
        found = next((kind for begin, kind in PIPELINES.items() if name.startswith(begin)), "")
        if found == "SD 1.5" and _json(Path(path, "unet", "config.json")).get("cross_attention_dim") == 1024:
            return "SD 2"
        return found
    status = os.stat(path)
    return _header(path, status.st_size, status.st_mtime_ns)[1] if path.lower().endswith(".safetensors") else ""


def _json(path: Path) -> dict[str, object]:
    """A small JSON object; {} where there is none."""
    try:
        found = json.loads(path.read_bytes()) if path.is_file() and path.stat().st_size <= MAX_JSON else None
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
