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
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from . import hook_events, hook_find_images, hook_locks, hook_metrics, run
    from ._types import TrackerRun
else:
    sys.dont_write_bytecode = True  # no __pycache__ in the attempt's folder
    import hook_events
    import hook_find_images
    import hook_locks
    import hook_metrics
    import run

WAIT = 20.0
"""Seconds to wait for the training's process, or another call of this, to end."""
WORDS = (b'"kind": "picture"', b'"kind": "tracker"', b'"kind": "training"', b'"kind": "checkpoint"', b"loss/epoch")
"""Lines of events.jsonl that matter here; most are metrics."""


class TrainingEvents:
    """What events.jsonl says of the training's trackers, images and epochs."""

    def __init__(self, file: str, uncounted: int = 0) -> None:
        """`uncounted`: steps of the whole training that the events leave out."""
        self.progress = hook_metrics.Progress(uncounted)
        self.runs: dict[str, TrackerRun] = {}
        """Tracker -> its last event."""
        self.logged: dict[str, set[str]] = {}
        """Path of an image -> the trackers that have it."""
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
        progress = self.progress
        try:
            event = json.loads(line)
            kind = event["kind"]
            if kind == "tracker":
                self.runs[event["name"]] = event
            elif kind == "picture":
                self.logged.setdefault(event["path"], set()).update(event["trackers"])
            elif kind == "training":
                progress.total, progress.epochs = event["total_steps"], event["epochs"]
            elif event["step"] is not None:
                progress.step = max(progress.step or 0, event["step"])
                if kind == "metrics" or event["which"] == "epoch":
                    progress.ended[event["epoch"]] = event["step"]
        except (ValueError, LookupError, TypeError, AttributeError):
            pass  # half a line, or an event of another version

    def missing(self, folder: hook_find_images.SampleFolder) -> dict[str, list[hook_find_images.SampleImage]]:
        return folder.missing(self.runs, self.logged, self.progress.step_of)

    def run(self, name: str) -> TrackerRun:
        """The tracker's event, with a row for W&B that the training cannot have used when it was killed."""
        steps = self.progress.total or (self.progress.step or 0) + self.progress.uncounted
        return {"row": 2 * steps + 1000, **self.runs[name]}


def main() -> str:
    attempt = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    settings = run.read_settings(attempt)
    file = os.path.join(attempt, "events.jsonl")
    if not settings.get("trackers") or not os.path.exists(file):
        return "no images to log: there are no trackers"
    trackers = settings["trackers"]
    uncounted = int((trackers.get("resumed") or {}).get("uncounted_steps") or 0)
    folder = hook_find_images.SampleFolder(attempt, settings.get("output_dir"), trackers.get("prompts"), uncounted)
    if not TrainingEvents(file, uncounted).missing(folder):
        return "no images to log"
    lock = hook_locks.hold(file, WAIT)
    if lock is None:
        return "no images logged: the training is still running, or another process logs them"
    training = TrainingEvents(file, uncounted)  # once more: another call may have logged them meanwhile
    events = hook_events.Events(file)
    events.torn = training.torn
    counts = []
    for name, images in training.missing(folder).items():
        try:
            log_into(name, images, training.run(name), events)
            counts.append(f"{len(images)} in {name}")
        except Exception as error:
            events.trouble(f"tracker {name}: late pictures", error)
            counts.append(f"none in {name}: {' '.join(hook_events.describe(error).split())}")
    os.close(lock)
    return f"images logged: {', '.join(counts)}" if counts else "no images to log"


def log_into(
    name: str, images: list[hook_find_images.SampleImage], event: TrackerRun, events: hook_events.Events
) -> None:
    """The events come after the run is closed: when this is killed before, the images are logged again, not lost."""
    import hook_trackers  # type: ignore[import-not-found]  # here: 10 ms that most calls need not spend

    tracker = hook_trackers.KINDS[name].reopened(event)
    logged: list[hook_find_images.SampleImage] = []
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
