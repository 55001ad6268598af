"""How much a LoRA changes its model, block by block, from its file alone.

Covers: .safetensors files with the keys of kohya-ss/sd-scripts (networks/lora.py: `<module>.lora_down.weight`,
`.lora_up.weight`, `.alpha`), linear layers and convolutions. The change of a module is alpha / rank * up @ down. Not:
LoHa, LoKr, DoRA and other forms, whose modules are counted and not measured; base models; what is wrong with a change
(`alarms`).
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..trainers.safetensors_file import Header, read

Floats = NDArray[np.float64]

BLOCK = re.compile(r"lora_[a-z0-9]+_(?:.*?\D)?\d+(?=_|$)|lora_[a-z0-9]+_[a-z]+")
"""A module's name to its first number: `lora_unet_down_blocks_1`, `lora_te_text_model_encoder_layers_3`."""
TYPES = {"F16": "<f2", "F32": "<f4", "F64": "<f8", "BF16": "<u2"}
FORMS = {"hada_": "LoHa", "lokr_": "LoKr", "dora_scale": "DoRA", "lora_mid": "a Tucker core", "oft_": "OFT"}
"""How the name of a tensor begins -> the form of a module whose change is not up @ down."""


class Change(NamedTuple):
    """Of a module, or the mean over a block's modules; NaN and infinity stay what they are."""

    gain: float
    """Length of what the change adds to an output, by that of an input of white noise: ||change||_F / sqrt(outputs). A
    layer as it is initialized, with variance 1 / inputs, has 1."""
    rank: float
    """Effective rank: exp of the entropy of the singular values' shares (O. Roy, M. Vetterli, "The effective rank",
    EUSIPCO 2007)."""
    dim: int
    """The LoRA's own rank."""


class LoraWeights(NamedTuple):
    blocks: Mapping[str, Change]
    unread: Mapping[str, int]
    """Form -> how many modules have it and were not measured; `""`: unknown, or numbers of 8 bits."""


def lora_weights(file: str | Path) -> LoraWeights:
    """`safetensors_file.Broken` for a file that is not whole, `OSError` where there is none."""
    header = read(file)
    modules: dict[str, set[str]] = defaultdict(set)
    for name in header.tensors:
        module, _, part = name.partition(".")
        modules[module].add(part)
    changes: dict[str, list[Change]] = defaultdict(list)
    unread: Counter[str] = Counter()
    with open(file, "rb") as opened:
        for module, parts in modules.items():
            form = next((FORMS[start] for start in FORMS for part in parts if part.startswith(start)), "")
            change = None if form else _change(opened, header, module)
            if change is None:
                unread[form] += 1
            else:
                found = BLOCK.match(module)
                changes[found[0] if found else module].append(change)
    return LoraWeights({block: _mean(each) for block, each in changes.items()}, unread)


def _change(file: BinaryIO, header: Header, module: str) -> Change | None:
    """None where up and down are not two matrices of one rank, of a type that is read."""
    down, up = (_matrix(file, header, f"{module}.lora_{part}.weight") for part in ("down", "up"))
    if down is None or up is None or not down.size or not up.size or up.shape[1] != len(down):
        return None
    dim = len(down)
    alpha = _matrix(file, header, f"{module}.alpha")
    scale = float(alpha.flat[0]) / dim if alpha is not None and alpha.size == 1 else 1.0
    with np.errstate(all="ignore"):
        product = (up.T @ up) @ (down @ down.T)  # its eigenvalues are the squares of the change's singular values
        if not np.isfinite(product).all() or not math.isfinite(scale):
            return Change(math.nan, math.nan, dim)
        singular = np.sqrt(np.linalg.eigvals(product).real.clip(0.0))
    total = float(singular.sum())
    shares = singular[singular > total * 1e-9] / total if total else singular[:0]
    rank = float(np.exp(-(shares * np.log(shares)).sum())) if total else 0.0
    return Change(abs(scale) * float(np.sqrt((singular**2).sum() / len(up))), rank, dim)


def _matrix(file: BinaryIO, header: Header, name: str) -> Floats | None:
    """A tensor as (first dimension, all the others); None where there is none, or of another type."""
    kind, first, last = header.tensors.get(name, ("", 0, 0))
    if kind not in TYPES:
        return None
    shape = header.shapes[name]
    if not last > first or min(shape, default=1) < 1 or math.prod(shape) * int(TYPES[kind][-1]) != last - first:
        return None
    file.seek(first)
    numbers = np.frombuffer(file.read(last - first), TYPES[kind])
    if kind == "BF16":  # the upper half of a float of 32 bits
        numbers = (numbers.astype(np.uint32) << 16).view(np.float32)
    return numbers.astype(np.float64).reshape((shape[0], -1) if shape else (1, 1))


def _mean(changes: list[Change]) -> Change:
    gain, rank = (float(np.mean([each[at] for each in changes])) for at in (0, 1))
    return Change(gain, rank, max(each.dim for each in changes))
