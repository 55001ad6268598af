"""Sample pictures on the disk: which are finished, what they show, at which step.

Covers: a WebUI's pictures (a `.json` beside each, written last: `state`, `text`, `step`, `epoch`) and the trainer's
own, which have only their names (`[name_]e000002_00_20260101120000_42.png`, `[name_]000150_...`) and the prompt file;
when it is worth looking. Nothing is decoded. Not: where they are logged to (`hook_logs`), which are (`hook_trackers`).
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

TICK = 2_000_000_000
"""Nanoseconds in which a folder may change again without a new time of change: coarse clocks, network disks."""
OWN = re.compile(r"(?:^|_)(?P<epoch>e?)(?P<number>\d{6,})_(?P<prompt>\d{2,})_\d{14}(?:_-?\d+)?\.png$")
GIVEN = re.compile(r"_(?P<prompt>\d{2,})(?P<weight>_w[-+.\de]+?)?(?P<file>_p[0-9a-f]{4})?\.png$")
PNG_END = b"IEND\xaeB`\x82"


class Picture(NamedTuple):
    file: str
    path: str
    """`output/sample/x.png`, from the attempt's folder: a picture's name in events."""
    tag: str
    """`sample/<no>`, and `_w<weight>` after it where the prompt is drawn with several weights."""
    caption: str
    step: int
    epoch: int | None
    own: bool
    """Drawn by the trainer, which has logged it to W&B itself."""


class Folder:
    """An attempt's `output/sample`. `prompts` is the file that the trainer's own sampler reads, or None."""

    def __init__(self, attempt: str, output: str | None, prompts: str | None = None) -> None:
        self.attempt = attempt
        self.path = os.path.join(output or os.path.join(attempt, "output"), "sample")
        self.prompts_file = prompts
        self.prompts: list[str] | None = None
        self.seen: int | None = None
        """The folder's time of change at the last look, None when it may have changed since."""

    def changed(self) -> bool:
        """One stat; True once for each change. Until the folder is there: False."""
        try:
            now = os.stat(self.path).st_mtime_ns
        except OSError:
            return False
        if now == self.seen:
            return False
        self.seen = now if time.time_ns() - now > TICK else None
        return True

    def finished(self, skip: Collection[str], step_of: Callable[[int], int]) -> list[Picture]:
        """Pictures in the order of their steps, but for those whose `path` is in `skip`. `step_of(epoch)` is asked for
        names that tell only the epoch. What is half written, was refused or is no sample is left out."""
        try:
            names = set(os.listdir(self.path))
        except OSError:
            return []
        found = []
        for name in names:
            if name.endswith(".png"):
                file = os.path.join(self.path, name)
                path = os.path.relpath(file, self.attempt)
                if path not in skip and (picture := self._picture(name, file, path, names, step_of)) is not None:
                    found.append(picture)
        return sorted(found, key=lambda picture: (picture.step, picture.tag, picture.path))

    def _picture(
        self, name: str, file: str, path: str, names: Collection[str], step_of: Callable[[int], int]
    ) -> Picture | None:
        if not is_whole(file):
            return None
        if f"{name[:-4]}.json" in names:
            about = read(f"{file[:-4]}.json")
            match = GIVEN.search(name)
            if match is None or about.get("state") != "done":
                return None
            tag = f"sample/{match['prompt']}{match['weight'] or ''}{match['file'] or ''}"
            epoch = about.get("epoch")
            return Picture(file, path, tag, str(about.get("text") or ""), int(about.get("step") or 0), epoch, False)
        match = OWN.search(name)
        if match is None:
            return None
        number, prompt = int(match["number"]), int(match["prompt"])
        epoch, step = (number, step_of(number)) if match["epoch"] else (None, number)
        return Picture(file, path, f"sample/{prompt:02d}", self._caption(prompt), step, epoch, True)

    def _caption(self, number: int) -> str:
        if self.prompts is None:
            self.prompts = read_prompts(self.prompts_file)
        return self.prompts[number] if number < len(self.prompts) else ""


def read(file: str) -> dict[str, Any]:
    """A picture's `.json`; {} for one that cannot be read."""
    try:
        with open(file, encoding="utf-8") as stream:
            about = json.load(stream)
    except (OSError, ValueError):
        return {}
    return about if isinstance(about, dict) else {}


def is_whole(file: str) -> bool:
    """With several GPUs another process may be writing it."""
    try:
        with open(file, "rb") as stream:
            stream.seek(-len(PNG_END), os.SEEK_END)
            return stream.read() == PNG_END
    except OSError:
        return False


def read_prompts(file: str | None) -> list[str]:
    """The prompts without their switches, as sd-scripts numbers them; [] when the file cannot be read."""
    try:
        if file is None or not file.endswith((".txt", ".json")):
            return []
        with open(file, encoding="utf-8") as stream:
            if file.endswith(".json"):
                items = json.load(stream)
                lines = [item["prompt"] if isinstance(item, dict) else item for item in items]
            else:
                lines = [line.strip() for line in stream if line.strip() and not line.startswith("#")]
        return [str(line).split(" --")[0].strip() for line in lines]
    except (OSError, ValueError, LookupError, TypeError):
        return []
