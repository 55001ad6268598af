"""A LoRA's file before and during its upload.

Covers: whether it is whole, its hashes (the uploader's and those that an infotext may show), the streamed multipart
body. A file is read in blocks of 64 KiB, except for its header, so that memory stays small. Not: requests (`loras`).
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ..protocol import LoraRefused, Unavailable

BLOCK = 65536
"""The uploader's hash is defined over blocks of this size."""
HEADER_MOST = 32 << 20
NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,150}")
"""What a name and a folder may hold: nothing that a prompt's tag, a path or the uploader would read otherwise."""


def checked(name: str, folder: str) -> str:
    """`folder/name.safetensors`, the only form in which paths are sent; `ValueError` is our own bug."""
    for each in (name, folder):
        if not NAME.fullmatch(each):
            raise ValueError(f"{each!r} cannot be a name on the server")
    if name.endswith(".safetensors"):
        raise ValueError(f"{name!r}: the name of a LoRA has no extension")
    return f"{folder}/{name}.safetensors"


def check_whole(file: Path) -> None:
    """`LoraRefused` for half a .safetensors file, which the uploader would take."""
    with open(file, "rb") as stream:
        _header(stream, file)


def _header(stream: BinaryIO, file: Path) -> dict[str, object]:
    """The metadata; the stream stands at the first tensor then."""
    size = file.stat().st_size
    length = int.from_bytes(stream.read(8), "little")
    if not 2 <= length <= min(HEADER_MOST, size - 8):
        raise LoraRefused(f"{file.name} is not a whole .safetensors file")
    try:
        header = json.loads(stream.read(length))
        ends = [entry["data_offsets"][1] for key, entry in header.items() if key != "__metadata__"]
        metadata = header.get("__metadata__") or {}
        right = 8 + length + max(ends, default=0) == size and isinstance(metadata, dict)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
        right = False
    if not right:
        raise LoraRefused(f"{file.name} is not a whole .safetensors file")
    return dict(metadata)


def uploader_hash(file: Path) -> str:
    """64 hex as the uploader computes them: sha256 over the whole 64 KiB blocks, then the size as decimal text."""
    digest = hashlib.sha256()
    with open(file, "rb") as stream:
        while len(block := stream.read(BLOCK)) == BLOCK:
            digest.update(block)
        digest.update(str(stream.tell()).encode())
    return digest.hexdigest()


def lora_hashes(file: Path) -> frozenset[str]:
    """The 12 hex, one of which an infotext shows for this LoRA: A1111's (its metadata's `sshs_model_hash`, else that of
    the tensors) and Forge's (of the whole file). `LoraRefused` if the file is not whole."""
    with open(file, "rb") as stream:
        kept = _header(stream, file).get("sshs_model_hash")
        tensors, start = hashlib.sha256(), stream.tell()
        stream.seek(0)
        whole = hashlib.sha256(stream.read(start))
        while block := stream.read(BLOCK):
            tensors.update(block)
            whole.update(block)
    of_tensors = kept if isinstance(kept, str) and kept else tensors.hexdigest()
    return frozenset({of_tensors[:12].lower(), whole.hexdigest()[:12]})


class Body:
    """A multipart body with `lora_path` and the file under a bare name, sent block by block; its length is known.

    After it was read to the end, `hash` is the file's `uploader_hash`.
    """

    def __init__(self, file: Path, where: str) -> None:
        """`where`: as `checked` returns it."""
        self._file, self.size, self.hash = file, file.stat().st_size, ""
        folder, name = where.split("/")
        edge = secrets.token_hex(16)
        self.headers = {"Content-Type": f"multipart/form-data; boundary={edge}"}
        self._head = (
            f'--{edge}\r\nContent-Disposition: form-data; name="lora_path"\r\n\r\n{folder}\r\n'
            f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        ).encode()
        self._tail = f"\r\n--{edge}--\r\n".encode()

    def __len__(self) -> int:
        return len(self._head) + self.size + len(self._tail)

    def __iter__(self) -> Iterator[bytes]:
        digest, left = hashlib.sha256(), self.size
        yield self._head
        with open(self._file, "rb") as stream:
            while left:
                block = stream.read(min(BLOCK, left))
                if not block:
                    raise Unavailable(f"{self._file.name} became shorter while it was uploaded")
                if len(block) == BLOCK:
                    digest.update(block)
                left -= len(block)
                yield block
        digest.update(str(self.size).encode())
        self.hash = digest.hexdigest()
        yield self._tail
