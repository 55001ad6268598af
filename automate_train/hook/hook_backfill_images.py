"""Sample images that came after the training's end, logged into the tracker runs that the training had opened.

    python <attempt>/hook/hook_backfill_images.py        with the trainer's Python, after the training

Covers: complete images in output/sample that have no event for a tracker yet; the same TensorBoard folder (a new file),
the same Aim run, the same W&B run (offline: a second file with its id). Each image is logged once, also when this runs
again, twice at a time, or is killed; one line says what was done. With nothing to do no tracker is imported.
Not: images of a running training (`hook_live_trackers`). An error becomes an event; the exit code is 0.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

WAIT = 20.0
"""Seconds to wait for the training's process, or another call of this, to end."""
WORDS = (b'"kind": "picture"', b'"kind": "tracker"', b'"kind": "training"', b'"kind": "checkpoint"', b"loss/epoch")
"""Lines of events.jsonl that matter here; most are metrics."""


class TrainingEvents:
    """What events.jsonl says of the training's trackers, images and epochs."""

    def __init__(self, file: str, uncounted: int = 0) -> None:
        """`uncounted`: steps of the whole training that the events leave out."""
        self.uncounted = uncounted
        self.runs: dict[str, dict[str, Any]] = {}
        """Tracker -> its last event."""
        self.done: dict[str, set[str]] = {}
        """Path of an image -> the trackers that have it."""
        self.ended: dict[int, int] = {}
        """Epoch -> the step at its end."""
        self.total: int | None = None
        self.epochs: int | None = None
        self.step = 0
        self.torn = False
        try:
            with open(file, "rb") as stream:
                for line in stream:
                    self.torn = not line.endswith(b"\n")
                    if any(word in line for word in WORDS):
                        self._add(line)
        except OSError:
            pass

    def _add(self, line: bytes) -> None:
        try:
            event = json.loads(line)
            kind = event["kind"]
            if kind == "tracker":
                self.runs[event["name"]] = event
            elif kind == "picture":
                self.done.setdefault(event["path"], set()).update(event["trackers"])
            elif kind == "training":
                self.total, self.epochs = event["total_steps"], event["epochs"]
            elif event["step"] is not None:
                step = event["step"] + self.uncounted
                self.step = max(self.step, step)
                if kind == "metrics" or event["which"] == "epoch":
                    self.ended[event["epoch"]] = step
        except (ValueError, LookupError, TypeError, AttributeError):
            pass  # half a line, or an event of another version

    def step_of(self, epoch: int) -> int:
        if epoch not in self.ended and self.total and self.epochs:
            return min(self.total, round(self.total * epoch / self.epochs))
        return self.ended.get(epoch, self.step)

    def run(self, name: str) -> dict[str, Any]:
        """The tracker's event, with a row for W&B that the training cannot have used when it was killed."""
        return {"row": 2 * (self.total or self.step) + 1000, **self.runs[name]}


def main() -> str:
    here = os.path.dirname(os.path.abspath(__file__))
    attempt = os.path.dirname(here)
    sys.dont_write_bytecode = True
    sys.path.insert(0, here)
    from run import read_settings  # type: ignore[import-not-found]

    settings = read_settings(attempt)
    file = os.path.join(attempt, "events.jsonl")
    if not settings.get("trackers") or not os.path.exists(file):
        return "no images to log: there are no trackers"
    import hook_find_images  # type: ignore[import-not-found]

    trackers = settings["trackers"]
    uncounted = int((trackers.get("resumed") or {}).get("uncounted_steps") or 0)
    folder = hook_find_images.SampleFolder(attempt, settings.get("output_dir"), trackers.get("prompts"), uncounted)
    if not os.path.isdir(folder.path) or not missing(folder, TrainingEvents(file, uncounted)):
        return "no images to log"
    import hook_events  # type: ignore[import-not-found]
    import hook_locks  # type: ignore[import-not-found]

    lock = hook_locks.hold(file, WAIT)
    if lock is None:
        return "no images logged: the training is still running, or another process logs them"
    training = TrainingEvents(file, uncounted)  # once more: another call may have logged them meanwhile
    events = hook_events.Events(file)
    events.torn = training.torn
    counts = []
    for name, images in missing(folder, training).items():
        try:
            log_into(name, images, training.run(name), trackers, events)
            counts.append(f"{len(images)} in {name}")
        except Exception as error:
            events.trouble(f"tracker {name}: late pictures", error)
            counts.append(f"none in {name}: {' '.join(hook_events.describe(error).split())}")
    os.close(lock)
    return f"images logged: {', '.join(counts)}" if counts else "no images to log"


def missing(folder: Any, training: TrainingEvents) -> dict[str, list[Any]]:
    """Tracker -> the images that are not in it. W&B has the trainer's own images from the trainer itself."""
    names = training.runs.keys()
    everywhere = {path for path, done in training.done.items() if done >= names}
    images = folder.complete(everywhere, training.step_of) if names else []
    found = {
        name: [i for i in images if name not in training.done.get(i.path, ()) and not (i.own and name == "wandb")]
        for name in names
    }
    return {name: images for name, images in found.items() if images}


def log_into(name: str, images: list[Any], event: dict[str, Any], wanted: dict[str, Any], events: Any) -> None:
    """The events come after the run is closed: when this is killed before, the images are logged again, not lost."""
    import hook_trackers  # type: ignore[import-not-found]

    tracker = hook_trackers.KINDS[name].reopened(event, wanted)
    logged = []
    try:
        logged.extend(tracker.log(images))
    finally:
        tracker.close()
        for image in logged:
            hook_trackers.write_logged(events, image, name)


if __name__ == "__main__":
    try:
        print(main())
    except Exception as error:
        print(f"no images logged: {type(error).__name__}: {error}")
