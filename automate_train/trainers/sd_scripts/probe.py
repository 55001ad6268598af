"""What the trainer's Python has installed, asked once for all runs.

Covers: the interpreter is there, accelerate, trackers, packages that a chosen network or optimizer needs.
Not: importing any of them (it costs seconds), their versions.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from functools import lru_cache

from ...errors import Problem
from ...records import Setting
from .launcher import trainer_python
from .resolve import Resolved
from .value_types import on_one_line, problem, text_in

ASK = (
    "import importlib.util as u, sys\n"
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
"""log_with -> the packages of which one must be there; `all` takes those that are."""

NEEDS = {"8bit": "bitsandbytes", "paged": "bitsandbytes", "dadapt": "dadaptation", "prodigy": "prodigyopt"}
"""Part of an optimizer's name -> the package that sd-scripts imports for it, after the models are loaded."""
INSTALLS = {"lycoris": "lycoris-lora"}
"""Packages that are installed under another name than they are imported by."""


def problems(resolved: Resolved) -> Iterator[Problem]:
    python = trainer_python(resolved)
    setting = resolved.given.get("venv_path")
    if not os.access(python, os.X_OK):
        yield problem(setting, f"there is no {on_one_line(python)}", "give the folder of a virtual environment")
        return
    wanted = _wanted(resolved)
    missing = _missing(python, tuple(wanted))
    if missing is None:
        yield problem(setting, f"{on_one_line(python)} does not start")
        return
    for name in missing:
        key, source = wanted[name]
        package = name.partition("|")[0]
        where = "the Python that runs automate-train" if python == sys.executable else on_one_line(python)
        text = f"{where} has no package {package}" + (f", which {key} needs" if key else "")
        yield problem(source, text, f"{on_one_line(python)} -m pip install {INSTALLS.get(package, package)}")


def _wanted(resolved: Resolved) -> dict[str, tuple[str, Setting | None]]:
    """Package (or `a|b`: one of them) -> what needs it, and where that was asked for."""
    wanted: dict[str, tuple[str, Setting | None]] = {
        name: ("", resolved.given.get("venv_path")) for name in ("torch", "accelerate", "safetensors", "toml")
    }
    log_with = resolved.given.get("log_with")
    if (tracker := TRACKERS.get(text_in(log_with) or "")) is not None:
        wanted[tracker] = (f"log_with {text_in(log_with)}", log_with)
    module = resolved.training.get("network_module")
    if isinstance(module, str) and not module.startswith("networks."):
        wanted[module.partition(".")[0]] = (f"network_module {module}", resolved.settings.get("network_module"))
    optimizer = str(resolved.training.get("optimizer_type", "")).lower()
    for part, package in NEEDS.items():
        if part in optimizer and "." not in optimizer and not resolved.is_tiny:
            wanted[package] = (f"optimizer {optimizer}", resolved.settings.get("optimizer_type"))
    return {name: found for name, found in wanted.items() if name and " " not in name}


@lru_cache(maxsize=64)
def _missing(python: str, names: tuple[str, ...]) -> tuple[str, ...] | None:
    """Those of the packages that a Python does not find; None when it does not start."""
    if os.path.realpath(python) == os.path.realpath(sys.executable) and python == sys.executable:
        from importlib.util import find_spec

        def there(name: str) -> bool:
            try:
                return find_spec(name) is not None
            except (ImportError, ValueError):
                return False

        return tuple(name for name in names if not any(map(there, name.split("|"))))
    import subprocess

    try:
        answer = subprocess.run([python, "-c", ASK, *names], capture_output=True, text=True, timeout=60)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    return tuple(answer.stdout.split()) if answer.returncode == 0 else None
