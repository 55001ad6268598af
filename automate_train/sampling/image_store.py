"""Sample pictures on the disk: what they are called, written so that each is there once and whole.

Covers: `Wanted` (one picture to be made), `Batch` (all of a checkpoint, or baselines), writing the PNG and then its
`.json`, which is the mark that the picture is made. Not: where they come from (`drawer`), which are due (`lookout`).
"""

from __future__ import annotations

import json
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..config.prompts import Prompt
from ..records import Checkpoint
from ..store.files import read_json, write
from .servers.webui.payload import Shot, parameters, words


@dataclass(frozen=True)
class Wanted:
    """One picture: `<checkpoint>_00[_w0.6][_p1a2b].png`."""

    png: Path
    prompt: Prompt
    shot: Shot
    seed: int
    prompt_key: str = ""
    """The journal's name of a seed that was drawn for the prompt; empty for a prompt with a seed of its own."""
    prompt_digest: str = ""
    """Of the prompt file."""

    @property
    def json(self) -> Path:
        return self.png.with_name(f"{self.png.stem}.json")


@dataclass(frozen=True)
class Batch:
    """What goes to one server together: the pictures of a checkpoint, or the baselines of a prompt file."""

    id: str
    """The same in every session: by it a restarted sampler finds what it has left on a server."""
    wanted: tuple[Wanted, ...]
    checkpoint: Checkpoint | None = None
    file: Path | None = None
    """A link of ours to the checkpoint, which may be rotated away."""
    key: str = ""
    attempt: int = 0
    final: Path | None = None
    """A file that tells a waiting training that it can go on."""

    def go_on(self, why: str) -> None:
        if self.final is not None:
            self.final.parent.mkdir(parents=True, exist_ok=True)
            write(self.final, why, durable=True)

    def close(self) -> None:
        """Everything is made, or never will be."""
        self.go_on("final\n")
        if self.file is not None:
            self.file.unlink(missing_ok=True)


class Desk:
    """Where the threads of all servers put their pictures; nothing is written twice."""

    def __init__(self, again: bool) -> None:
        """`again`: what an earlier session marked as anything but done is made once more."""
        self.again = again
        self.states: dict[str, int] = {}
        """State -> number of pictures of this session."""
        self._settled: set[Path] = set()
        self._lock = threading.Lock()

    def is_open(self, wanted: Wanted) -> bool:
        """Whether it is still to be made."""
        if wanted.png in self._settled:
            return False
        state = state_of(wanted.json)
        return state is None or (self.again and state != "done")

    def put(
        self, batch: Batch, wanted: Wanted, server: str, lora: str | None, state: str, reason: str = "",
        png: bytes | None = None, infotext: str = "",
    ) -> bool:  # fmt: skip
        """Write the picture, or the mark that there is none; False: somebody was faster."""
        about = about_picture(batch, wanted, server, lora, state, reason, png is not None, infotext)
        with self._lock:
            if not self.is_open(wanted):
                return False
            wanted.png.parent.mkdir(parents=True, exist_ok=True)
            if png is None:
                wanted.png.unlink(missing_ok=True)
            else:
                write(wanted.png, png, durable=True)
            write(wanted.json, json.dumps(about, ensure_ascii=False, indent=1), durable=True)
            self._settled.add(wanted.png)
            self.states[state] = self.states.get(state, 0) + 1
        return True


def about_picture(
    batch: Batch, wanted: Wanted, server: str, lora: str | None, state: str, reason: str, has_png: bool, infotext: str
) -> dict[str, Any]:
    """A picture's `.json`, without a byte of the images that were sent."""
    text, negative = words(wanted.prompt, lora, wanted.shot.weight)
    checkpoint = batch.checkpoint
    return {
        "prompt": wanted.shot.number,
        "text": text,
        "negative": negative,
        "seed": wanted.seed,
        "prompt_key": wanted.prompt_key,
        "prompt_digest": wanted.prompt_digest,
        "parameters": parameters(wanted.prompt, lora, wanted.shot.weight, wanted.seed),
        "infotext": infotext,
        "server": server,
        "checkpoint": os.path.basename(checkpoint.path) if checkpoint else None,
        "epoch": checkpoint.epoch if checkpoint else None,
        "step": checkpoint.step if checkpoint else None,
        "weight": wanted.shot.weight,
        "lora": lora,
        "baseline": wanted.shot.baseline,
        "state": state,
        "reason": reason,
        "png": wanted.png.name if has_png else None,
        "at": round(time.time(), 3),
    }


def state_of(file: Path) -> str | None:
    """What a picture's `.json` says; None where there is none that can be read."""
    found = read_json(file) or {}
    return str(found["state"]) if "state" in found else None
