"""Which Python runs the trainer, and which packages it has.

Covers: the interpreter can be started; accelerate, trackers, packages that a chosen network or optimizer needs. It is
asked once for all runs. Not: importing the packages, which takes seconds; their versions.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from functools import lru_cache
from importlib.util import find_spec

from ...errors import Problem
from ...records import Setting
from .resolve import Resolved
from .value_types import on_one_line, path_in, problem, text_in

ASK = (
    "import sys\n"
    "if '' in sys.path: sys.path.remove('')\n"  # nothing is imported from the current folder
    "import importlib.util as u\n"
    "def there(name):\n"
    " try: return u.find_spec(name) is not None\n"
    " except Exception: return False\n"
    "print(*(n for n in sys.argv[1:] if not any(map(there, n.split('|')))))"
)
TRACKERS = {
    "tensorboard": "tensorboard|tensorboardX",
    "wandb": "wandb",
    "aim": "aim",
    "all": "tensorboard|tensorboardX|wandb|aim",
}
"""log_with -> the packages of which one is needed; `all` uses those that are installed."""

NEEDS = {"8bit": "bitsandbytes", "paged": "bitsandbytes", "dadapt": "dadaptation", "prodigy": "prodigyopt"}
"""Part of an optimizer's name -> the package that sd-scripts imports for it, after the models are loaded."""
INSTALLS = {"lycoris": "lycoris-lora"}
"""Packages that are installed under another name than they are imported by."""


def trainer_python(resolved: Resolved) -> str:
    """`venv_path`, else an environment in the trainer's folder, else the Python that runs automate-train."""
    if given := path_in(resolved.given.get("venv_path")):
        return os.path.join(given, "bin", "python")
    repo = path_in(resolved.given.get("repo_dir")) or ""
    for folder in dict.fromkeys((repo, str(resolved.script.parent))):
        for name in ("venv", ".venv"):
            python = os.path.join(folder, name, "bin", "python")
            if not resolved.is_tiny and os.access(python, os.X_OK):
                return python
    return sys.executable


def problems(resolved: Resolved) -> Iterator[Problem]:
    python = trainer_python(resolved)
    setting = resolved.given.get("venv_path")
    if setting is None and not resolved.is_read:
        return  # its environment is in the trainer's folder
    if not os.access(python, os.X_OK):
        yield problem(setting, f"there is no {on_one_line(python)}", "give the folder of a virtual environment")
        return
    needed = _needed(resolved)
    missing = _missing(python, tuple(needed))
    if missing is None:
        yield problem(setting, f"{on_one_line(python)} does not start")
        return
    for name in missing:
        needed_by, source = needed[name]
        package = name.partition("|")[0]
        where = "the Python that runs automate-train" if python == sys.executable else on_one_line(python)
        text = f"{where} has no package {package}" + (f", which {needed_by} needs" if needed_by else "")
        yield problem(source, text, f"{on_one_line(python)} -m pip install {INSTALLS.get(package, package)}")


def _needed(resolved: Resolved) -> dict[str, tuple[str, Setting | None]]:
    """Package (or `a|b`: one of them) -> what needs it, and the setting that asks for that."""
    needed: dict[str, tuple[str, Setting | None]] = {
        name: ("", resolved.given.get("venv_path")) for name in ("torch", "accelerate", "safetensors", "toml")
    }
    log_with = resolved.given.get("log_with")
    if (tracker := TRACKERS.get(text_in(log_with) or "")) is not None:
        needed[tracker] = (f"log_with {text_in(log_with)}", log_with)
    module = resolved.training.get("network_module")
    if isinstance(module, str) and not module.startswith("networks."):
        needed[module.partition(".")[0]] = (f"network_module {module}", resolved.settings.get("network_module"))
    optimizer = str(resolved.training.get("optimizer_type", "")).lower()
    for part, package in NEEDS.items():
        if part in optimizer and "." not in optimizer and not resolved.is_tiny:
            needed[package] = (f"optimizer {optimizer}", resolved.settings.get("optimizer_type"))
    return {name: found for name, found in needed.items() if name and " " not in name}


@lru_cache(maxsize=64)
def _missing(python: str, names: tuple[str, ...]) -> tuple[str, ...] | None:
    """Those of the packages that a Python does not find; None when it does not start."""
    if python == sys.executable:
        return tuple(name for name in names if not any(map(_is_here, name.split("|"))))
    try:
        answer = subprocess.run([python, "-c", ASK, *names], capture_output=True, text=True, timeout=60)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    return tuple(answer.stdout.split()) if answer.returncode == 0 else None


def _is_here(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):
        return False
