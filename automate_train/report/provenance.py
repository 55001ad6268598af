"""Where a sweep comes from: both config files as given, versions, machine, GPUs, the trainer's commit.

Covers: collecting it and `provenance.json`, which each start of the sweep's command writes anew; the config files' text
without secrets. Not: what is secret (`config.masking`), when it is written (`worker`), showing it
(`web/js/provenance.js`), the runs' own commands (launch.json of each attempt).
"""

from __future__ import annotations

import json
import os
import platform
import re
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from .. import __version__
from ..config.key_sets import canonical
from ..config.layers import parse_object
from ..config.logins import ADDRESSES, without_logins
from ..config.masking import MASK, VALUE, Masker, masker_of, secret_texts
from ..config.values import unset
from ..errors import UserError
from ..records import Setting, SweepContext
from ..store.files import write
from ..store.layout import SweepFolder

PACKAGES = (
    "torch", "accelerate", "transformers", "diffusers", "safetensors", "xformers", "bitsandbytes", "lycoris-lora",
    "prodigyopt", "lion-pytorch", "dadaptation", "triton", "numpy", "tensorboard", "wandb", "aim",
)  # fmt: skip
INSTALLED = re.compile(r"(?P<name>.+?)-(?P<version>[^-]+)(-py[\d.]+)?\.(dist|egg)-info")
"""How installers name a package's folder in site-packages."""
MOST_BYTES = 1 << 20


def write_provenance(
    folder: SweepFolder, context: SweepContext, options: Mapping[str, Setting], gpus: Sequence[str]
) -> None:
    """`options`: of the first run; `gpus`: names."""
    found = collect(context, options, gpus)
    write(folder.provenance, json.dumps(found, ensure_ascii=False, indent=1) + "\n")


def collect(context: SweepContext, options: Mapping[str, Setting], gpus: Sequence[str]) -> dict[str, object]:
    """JSON-able; what cannot be found out is empty or None."""
    masker = masker_of({key: option.value for key, option in options.items()})
    repo, venv = (_text(options.get(key)) for key in ("repo_dir", "venv_path"))
    return {
        "at": round(time.time(), 3),
        "automate_train": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.node(),
        "cores": os.cpu_count(),
        "gpus": list(gpus),
        "command": list(context.command),
        "cwd": context.cwd,
        "files": [_file(label, Path(path), masker) for label, path in context.config_files.items()],
        "packages": package_versions(Path(venv) if venv else None),
        "trainer": {"path": repo, "commit": commit(Path(repo))} if repo and repo != "tiny" else None,
    }


def _text(option: Setting | None) -> str:
    return "" if option is None or unset(option.value) else str(option.value)


def _file(label: str, path: Path, masker: Masker) -> dict[str, str]:
    try:
        text = path.read_bytes()[:MOST_BYTES].decode("utf-8-sig", "replace")
    except OSError as error:
        return {"label": label, "path": str(path), "text": f"(cannot be read: {error})"}
    return {"label": label, "path": str(path), "text": masker.text(masked_text(text, str(path)))}


def masked_text(text: str, path: str) -> str:
    """A config file's text with `***` for its secrets, however their keys and values are spelled. Where a value cannot
    be found in the text (`"\\u0061bc"`), the file's values are shown instead of its text."""
    try:
        values = parse_object(text, path)
    except UserError:  # it was changed while the sweep started
        return "(not a config file any more)"
    # Also those that are commented out, which no parser sees.
    masker = masker_of(values)
    shown = VALUE.sub(rf'\g<key>"{MASK}"', masker.text(text))
    try:
        if all(set(each) <= set(MASK) for each in secret_texts(parse_object(shown, path))):
            return shown
    except UserError:
        pass  # what was replaced was more, or less, than a value
    return json.dumps({key: _shown(key, value, masker) for key, value in values.items()}, ensure_ascii=False, indent=1)


def _shown(key: str, value: object, masker: Masker) -> object:
    return masker.option(key, without_logins(value) if canonical(key) in ADDRESSES else value)


def package_versions(venv: Path | None) -> dict[str, str]:
    """Versions of `PACKAGES` in a virtual environment, else in our own. They are read from the folders' names: 0.5 ms,
    where importlib.metadata takes 30."""
    folders: Iterable[Path] = sorted(venv.glob("lib/python3*/site-packages")) if venv else map(Path, sys.path)
    found: dict[str, str] = {}
    for folder in folders:
        try:
            names = os.listdir(folder)
        except OSError:
            continue
        for match in filter(None, map(INSTALLED.fullmatch, names)):
            found.setdefault(match["name"].lower().replace("_", "-"), match["version"])
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
