"""Names in network_args and optimizer_args that nothing reads.

Covers: the names that a network module takes from its keyword arguments, and an optimizer's parameters, both read from
their sources in the trainer's folder or its Python's packages. Not: sources that are not there or cannot be read, and
optimizers with `**kwargs`: what is not known is not reported.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from ...errors import Problem, nearest
from .resolve import Resolved
from .trainer_python import trainer_python
from .value_types import problem

READ = re.compile(r"""kwargs(?:\.(?:get|pop)\(|\[)\s*["'](\w+)["']|["'](\w+)["'] (?:not )?in \w*kwargs""")
"""Where a network module looks into its arguments: `kwargs.get("x")`, `nw_kwargs["x"]`, `"x" in kwargs`."""
SOURCES = {
    "8bit": "bitsandbytes/optim",
    "paged": "bitsandbytes/optim",
    "lion": "lion_pytorch",
    "dadapt": "dadaptation",
    "prodigy": "prodigyopt",
    "schedulefree": "schedulefree",
    "adafactor": "transformers/optimization.py",
    "": "torch/optim",
}
"""Part of an optimizer's name -> the folder or file of its class, within the Python's packages."""
MAX_BYTES = 4 << 20


def problems(resolved: Resolved) -> Iterator[Problem]:
    if not resolved.is_read or resolved.is_tiny:
        return
    packages = next(Path(trainer_python(resolved)).parents[1].glob("lib/python3*/site-packages"), None)
    module = str(resolved.training.get("network_module", ""))
    folder = resolved.script.parent if module.startswith("networks.") else packages
    if folder is not None and re.fullmatch(r"[\w.]+", module):
        path = folder.joinpath(*module.split(".")).with_suffix(".py")
        names = _network_names(path, path.stat().st_mtime_ns) if path.is_file() else frozenset()
        yield from _unknown(resolved, "network_args", names, module)
    optimizer = str(resolved.training.get("optimizer_type") or "AdamW")
    if packages is not None and optimizer.isalnum():
        yield from _unknown(resolved, "optimizer_args", _optimizer_names(packages, optimizer.lower()), optimizer)


def _unknown(resolved: Resolved, key: str, names: frozenset[str], reader: str) -> Iterator[Problem]:
    given = resolved.training.get(key)
    for pair in given if names and isinstance(given, list) else ():
        name = str(pair).partition("=")[0]
        if name not in names:
            yield problem(
                resolved.settings[key], f"{reader} does not read {name}", nearest(name, sorted(names)), "warning"
            )


@lru_cache(maxsize=64)
def _network_names(path: Path, changed: int) -> frozenset[str]:
    """Empty where they are not known. A module that takes a part of its work from others reads their names too."""
    text = _text(path)
    others = re.findall(r"^from (?:networks|\.)\.?(\w+)? import|^import networks\.(\w+)", text, re.MULTILINE)
    texts = [text, *(_text(path.with_name(f"{first or second}.py")) for first, second in others)]
    names = {name for each in texts for found in READ.findall(each) for name in found if name}
    return frozenset({*names, "neuron_dropout", "dropout"}) if "def create_network" in text and names else frozenset()


@lru_cache(maxsize=64)
def _optimizer_names(packages: Path, optimizer: str) -> frozenset[str]:
    """The parameters of the optimizer's class; empty where they are not known."""
    where = packages / next(place for part, place in SOURCES.items() if part in optimizer)
    for path in sorted(where.glob("*.py")) if where.is_dir() else [where]:
        text = _text(path)
        if not re.search(rf"^class {optimizer}\b", text, re.MULTILINE | re.IGNORECASE):
            continue
        try:
            classes = [part for part in ast.parse(text).body if isinstance(part, ast.ClassDef)]
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return frozenset()
        for node in (part for found in classes if found.name.lower() == optimizer for part in found.body):
            if isinstance(node, ast.FunctionDef) and node.name == "__init__":
                spec = node.args
                return frozenset() if spec.kwarg else frozenset(each.arg for each in (*spec.args, *spec.kwonlyargs))
    return frozenset()


def _text(path: Path) -> str:
    try:
        if path.is_file() and os.path.getsize(path) <= MAX_BYTES:
            return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        pass
    return ""
