"""Reading .safetensors files with the standard library: header, completeness, metadata, NaN.

Covers: the format (8 bytes of little-endian length, that many bytes of JSON, the tensors' bytes one after another;
huggingface/safetensors, README "Format") and, for files that the hook has not counted, a search for NaN.
Not: tensors as numbers, pickled checkpoints (.ckpt, .pt).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

MAX_HEADER = 32 << 20
"""Bytes; the format allows 100 MB. 26 MB of names took 1 s to read."""
SCAN = 1 << 30
"""Bytes of tensors that `count_nan` reads at most, in about a second; a LoRA is far smaller."""
CHUNK = 16 << 20


class Broken(Exception):
    """The file is not a complete safetensors file; the text says why, without the file's name."""


class Header(NamedTuple):
    metadata: dict[str, str]
    tensors: dict[str, tuple[str, int, int]]
    """Name -> (dtype, first byte, byte after the last), counted from the file's start."""
    shapes: dict[str, tuple[int, ...]]


def read(path: str | Path) -> Header:
    """The header of a complete file; `Broken`, or `OSError` when it cannot be opened."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(MAX_HEADER, size - 8):
            raise Broken("is cut off within its header" if 8 <= length <= MAX_HEADER else "has no safetensors header")
        try:
            header = json.loads(file.read(length))
            metadata = header.pop("__metadata__", None) or {}
            tensors = {name: _extent(entry, 8 + length) for name, entry in header.items()}
            shapes = {name: tuple(map(int, entry["shape"])) for name, entry in header.items()}
            metadata = {str(key): str(value) for key, value in metadata.items()}
        except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
            raise Broken("has no safetensors header") from None
    end = max((end for _, _, end in tensors.values()), default=8 + length)
    if end != size:
        raise Broken(f"is cut off: {size} of {end} bytes" if size < end else f"has {size - end} bytes too many")
    return Header(metadata, tensors, shapes)


def _extent(entry: Any, start: int) -> tuple[str, int, int]:
    first, last = entry["data_offsets"]
    if not (isinstance(first, int) and isinstance(last, int) and 0 <= first <= last):
        raise ValueError
    return str(entry["dtype"]), start + first, start + last


def fault(path: str | Path) -> str:
    """What is wrong with a file, in words that follow its name; empty where it is whole, and all numbers are finite."""
    try:
        header = read(path)
        bad = count_nan(path, header)
    except Broken as broken:
        return str(broken)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return f"holds NaN or infinity in {bad} of {len(header.tensors)} tensors" if bad else ""


def count_nan(path: str | Path, header: Header) -> int:
    """How many tensors hold a NaN or an infinity, among the first `SCAN` bytes. 8-bit types are not searched."""
    bad = 0
    left = SCAN
    with open(path, "rb") as file:
        for kind, first, last in header.tensors.values():
            if kind in ENDS and left > 0:
                left -= last - first
                bad += any(not _finite(chunk, kind) for chunk in _chunks(file, first, last))
    return bad


def _chunks(file: BinaryIO, first: int, last: int) -> Iterator[bytes]:
    file.seek(first)
    while first < last:
        chunk = file.read(min(CHUNK, last - first))
        if not chunk:
            return
        first += len(chunk)
        yield chunk


# A little-endian float is NaN or infinite when all its exponent bits are 1. To find such numbers without a loop in
# Python, every width-th byte is cut out, which gives the top bytes, and `translate` deletes the harmless ones.
ENDS = {"F16": (2, 0x7C, 0), "BF16": (2, 0x7F, 0x80), "F32": (4, 0x7F, 0x80), "F64": (8, 0x7F, 0xF0)}
"""dtype -> width in bytes, the exponent's bits in the top byte and in the one below it."""


def _finite(chunk: bytes, kind: str) -> bool:
    width, high, low = ENDS[kind]
    top = chunk[width - 1 :: width]
    harmless = bytes(byte for byte in range(256) if byte & high != high)
    if not top.translate(None, harmless):
        return True
    if not low:
        return False
    below = chunk[width - 2 :: width]
    return not any(first & high == high and second & low == low for first, second in zip(top, below, strict=False))
