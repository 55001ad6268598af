"""An attempt's sample images on the disk: which are complete, their prompt, their step.

Covers: an image server's images (a `.json` beside each, written last: `state`, `text`, `step`, `epoch`) and the
trainer's own, of which only the name (`[name_]e000002_00_20260101120000_42.png`, `[name_]000150_...`) and the prompt
file tell something; whether the folder has changed. No image is decoded. Not: which of them are logged
(`hook_live_trackers`, `hook_backfill_images`), how (`hook_trackers`).
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

TICK = 2_000_000_000
"""Nanoseconds within which a folder may change without a new modification time: coarse clocks, network disks."""
OWN = re.compile(r"(?:^|_)(?P<epoch>e?)(?P<number>\d{6,})_(?P<prompt>\d{2,})_\d{14}(?:_-?\d+)?\.png$")
GIVEN = re.compile(r"_(?P<prompt>\d{2,})(?P<weight>_w[-+.\de]+?)?(?P<file>_p[0-9a-f]{4})?\.png$")
PNG_END = b"IEND\xaeB`\x82"


class SampleImage(NamedTuple):
    file: str
    path: str
    """`output/sample/x.png`, from the attempt's folder: the image's name in events."""
    tag: str
    """`sample/<prompt's number>`, with `_w<weight>` where the prompt is drawn with several weights."""
    caption: str
    step: int
    epoch: int | None
    own: bool
    """Drawn by the trainer, which logs it to W&B itself."""


class SampleFolder:
    """An attempt's `output/sample`. `prompts` is the file that the trainer's own sampler reads, or None."""

    def __init__(self, attempt: str, output: str | None, prompts: str | None = None, uncounted: int = 0) -> None:
        """`uncounted`: steps of the whole training that a resumed trainer leaves out in its images' names."""
        self.uncounted = uncounted
        self.digests: set[str] = set()
        """Prompt files of the images that were seen: their baselines belong to this run."""
        self.attempt = attempt
        self.path = os.path.join(output or os.path.join(attempt, "output"), "sample")
        self.prompts_file = prompts
        self.prompts: list[str] | None = None
        self.seen: int | None = None
        """The folder's modification time when it was last read; None when it may have changed since without a new
        one."""

    def changed(self) -> bool:
        """Whether the folder has changed since the last call; costs one stat. False until there is a folder."""
        try:
            now = os.stat(self.path).st_mtime_ns
        except OSError:
            return False
        if now == self.seen:
            return False
        self.seen = now if time.time_ns() - now > TICK else None
        return True

    def missing(
        self, trackers: Collection[str], logged: dict[str, set[str]], step_of: Callable[[int], int]
    ) -> dict[str, list[SampleImage]]:
        """Tracker -> the complete images that it does not have; none for one that has all. `logged`, an image's path ->
        the trackers that have it, learns of each image that the trainer itself logs to W&B."""
        everywhere = {path for path, names in logged.items() if names.issuperset(trackers)}
        images = self.complete(everywhere, step_of) if trackers else []
        for image in images:
            logged.setdefault(image.path, set()).update(["wandb"] if image.own else [])
        found = {name: [image for image in images if name not in logged[image.path]] for name in trackers}
        return {name: images for name, images in found.items() if images}

    def complete(self, skip: Collection[str], step_of: Callable[[int], int]) -> list[SampleImage]:
        """The images in the order of their steps, without those whose `path` is in `skip`. `step_of(epoch)` is called
        for names that hold only the epoch. Half-written and rejected images are left out, and files of other names."""
        try:
            names = set(os.listdir(self.path))
        except OSError:
            return []
        found = []
        for name in names:
            if name.endswith(".png"):
                file = os.path.join(self.path, name)
                path = os.path.relpath(file, self.attempt)
                if path not in skip and (image := self._image(name, file, path, names, step_of)) is not None:
                    found.append(image)
        found += self._baselines(skip)
        return sorted(found, key=lambda image: (image.step, image.tag, image.path))

    def _baselines(self, skip: Collection[str]) -> list[SampleImage]:
        """The sweep's images without a LoRA, of the same prompt files, at step 0."""
        folder = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(self.attempt))), "baseline")
        found = []
        for name in os.listdir(folder) if self.digests and os.path.isdir(folder) else ():
            file = os.path.join(folder, name)
            path = os.path.relpath(file, self.attempt)
            if name.endswith(".png") and path not in skip and is_whole(file):
                about = read(f"{file[:-4]}.json")
                if about.get("state") == "done" and about.get("prompt_digest") in self.digests:
                    tag = f"sample/{int(about.get('prompt') or 0):02d}_baseline"
                    found.append(SampleImage(file, path, tag, str(about.get("text") or ""), 0, None, False))
        return found

    def _image(
        self, name: str, file: str, path: str, names: Collection[str], step_of: Callable[[int], int]
    ) -> SampleImage | None:
        if not is_whole(file):
            return None
        if f"{name[:-4]}.json" in names:
            about = read(f"{file[:-4]}.json")
            match = GIVEN.search(name)
            if match is None or about.get("state") != "done":
                return None
            if digest := about.get("prompt_digest"):
                self.digests.add(digest)
            tag = f"sample/{match['prompt']}{match['weight'] or ''}{match['file'] or ''}"
            epoch = about.get("epoch")
            return SampleImage(file, path, tag, str(about.get("text") or ""), int(about.get("step") or 0), epoch, False)
        match = OWN.search(name)
        if match is None:
            return None
        number, prompt = int(match["number"]), int(match["prompt"])
        epoch, step = (number, step_of(number)) if match["epoch"] else (None, number + self.uncounted)
        return SampleImage(file, path, f"sample/{prompt:02d}", self._caption(prompt), step, epoch, True)

    def _caption(self, number: int) -> str:
        if self.prompts is None:
            self.prompts = read_prompts(self.prompts_file)
        return self.prompts[number] if number < len(self.prompts) else ""


def read(file: str) -> dict[str, Any]:
    """An image's `.json`; {} where it cannot be read."""
    try:
        with open(file, encoding="utf-8") as stream:
            about = json.load(stream)
    except (OSError, ValueError):
        return {}
    return about if isinstance(about, dict) else {}


def is_whole(file: str) -> bool:
    """Whether a PNG is written to its end: with several GPUs another process may be writing it."""
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
