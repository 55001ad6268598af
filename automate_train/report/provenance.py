"""Where a sweep comes from: both config files as given, versions, machine, GPUs, the trainer's commit.

Covers: collecting it when a sweep starts, for a note in its journal; secrets in config files are masked.
Not: showing it (`web/js/provenance.js`), the runs' own commands (each attempt's launch.json).
"""

from __future__ import annotations

import os
import platform
import re
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import __version__
from ..config.keys import ALIASES, MASKED

PACKAGES = (
    "torch", "accelerate", "transformers", "diffusers", "safetensors", "xformers", "bitsandbytes", "lycoris-lora",
    "prodigyopt", "lion-pytorch", "dadaptation", "triton", "numpy", "tensorboard", "wandb", "aim",
)  # fmt: skip
MOST_BYTES = 1 << 20


def provenance(
    files: Mapping[str, str | Path | None],
    command: Sequence[str],
    gpus: Sequence[str] = (),
    trainer: str | Path | None = None,
    python: str | Path | None = None,
) -> dict[str, Any]:
    """JSON-able. `files`: label -> path (`default file`, `tuning file`); `command`: argv, already without secrets;
    `gpus`: names; `trainer`: its repository; `python`: the interpreter that trains. What is missing is left out."""
    return {
        "at": round(time.time(), 3),
        "automate_train": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.node(),
        "cores": os.cpu_count(),
        "gpus": list(gpus),
        "command": list(command),
        "cwd": os.getcwd(),
        "files": [_file(label, Path(path)) for label, path in files.items() if path],
        "packages": packages(python),
        "trainer": {"path": str(trainer), "commit": commit(Path(trainer))} if trainer else None,
    }


def _file(label: str, path: Path) -> dict[str, str]:
    try:
        text = path.read_bytes()[:MOST_BYTES].decode("utf-8-sig", "replace")
    except OSError as error:
        text = f"(cannot be read: {error})"
    return {"label": label, "path": str(path), "text": masked_text(text)}


def masked_text(text: str) -> str:
    """A config file's text with `***` for the values of secrets, lists of them included, and for passwords in URLs."""
    names = {*MASKED, *(old for old, new in ALIASES.items() if new in MASKED)}
    keys = "|".join(sorted(map(re.escape, names)))
    value = r"""\[[^\]]*\]|"(?:[^"\\]|\\.)*"|'[^']*'|[^\s,}#]+"""
    text = re.sub(rf"""((?:{keys})(?:_list)?["']?\s*[:=]\s*)({value})""", r'\1"***"', text)
    return re.sub(r"(\w+://[^\s/:@\"']*:)[^\s/@\"']+@", r"\1***@", text)


def packages(python: str | Path | None) -> dict[str, str]:
    """Versions of what matters in an interpreter's environment, read from its files: nothing is started."""
    from importlib.metadata import distributions

    where: list[str] | None = None
    if python is not None and os.path.abspath(python) != os.path.abspath(sys.executable):
        home = Path(os.path.abspath(python)).parent.parent
        where = [str(each) for each in home.glob("lib/python3*/site-packages")]
    found: dict[str, str] = {}
    try:
        for each in distributions(path=where) if where is not None else distributions():
            name = (each.metadata["Name"] or "").lower().replace("_", "-")
            if name in PACKAGES:
                found.setdefault(name, each.version)
    except (OSError, TypeError, ValueError):
        pass
    return {name: found[name] for name in PACKAGES if name in found}


def commit(repo: Path) -> str:
    """The commit that is checked out, "" where none can be read. git is not needed."""
    try:
        git = repo / ".git"
        if git.is_file():  # a worktree or a submodule
            git = repo / git.read_text().partition("gitdir:")[2].strip()
        head = (git / "HEAD").read_text().strip()
        if not head.startswith("ref: "):
            return head[:40]
        name = head[5:]
        common = git / "commondir"
        home = git / common.read_text().strip() if common.exists() else git
        for each in (git / name, home / name):
            if each.exists():
                return each.read_text().strip()[:40]
        lines = (home / "packed-refs").read_text().splitlines()
        return next((line.split()[0] for line in lines if line.endswith(f" {name}")), "")
    except (OSError, ValueError, IndexError):
        return ""
