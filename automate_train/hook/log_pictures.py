"""Pictures that came after the training's end, logged into the runs that the training had opened.

    python <attempt>/hook/log_pictures.py        in the trainer's Python, after the training

Covers: what is finished in output/sample and has no event for a tracker yet; the same TensorBoard folder (a new file),
the same Aim run, the same W&B run (offline: a second file with its id). Each picture once, also when this is called
again, twice at a time, or killed; one line says what was done. With nothing to do no tracker is imported.
Not: pictures of a running training: its hook logs them. What goes wrong is an event; the exit code is 0.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

WAIT = 20.0
"""Seconds to wait for the training's process, or another call of this, to end."""
WORDS = (b'"kind": "picture"', b'"kind": "tracker"', b'"kind": "training"', b'"kind": "checkpoint"', b"loss/epoch")
"""Lines of events.jsonl that matter here; most are metrics."""


class History:
    """What events.jsonl tells of the training."""

    def __init__(self, file: str) -> None:
        self.runs: dict[str, dict[str, Any]] = {}
        """Tracker -> its last event."""
        self.done: dict[str, set[str]] = {}
        self.ended: dict[int, int] = {}
        self.total: int | None = None
        self.epochs: int | None = None
        self.step = 0
        self.torn = False
        try:
            with open(file, "rb") as stream:
                for line in stream:
                    self.torn = not line.endswith(b"\n")
                    if any(word in line for word in WORDS):
                        self._take(line)
        except OSError:
            pass

    def _take(self, line: bytes) -> None:
        import json

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
                self.step = max(self.step, event["step"])
                if kind == "metrics" or event["which"] == "epoch":
                    self.ended[event["epoch"]] = event["step"]
        except (ValueError, LookupError, TypeError, AttributeError):
            pass  # half a line, or an event of another make

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
        return "no pictures to log: there are no trackers"
    import hook_pictures  # type: ignore[import-not-found]

    folder = hook_pictures.Folder(attempt, settings.get("output_dir"), settings["trackers"].get("prompts"))
    if not os.path.isdir(folder.path) or not left(folder, History(file)):
        return "no pictures to log"
    import hook_events  # type: ignore[import-not-found]
    import hook_trackers  # type: ignore[import-not-found]

    lock = hook_trackers.hold(file, WAIT)
    if lock is None:
        return "no pictures logged: the training is still running, or another process logs them"
    history = History(file)  # once more: another call may have done it
    events = hook_events.Events(file)
    events.torn = history.torn
    counts = []
    for name, pictures in left(folder, history).items():
        try:
            log_into(name, pictures, history.run(name), settings["trackers"], events.write)
            counts.append(f"{len(pictures)} in {name}")
        except Exception as error:
            events.trouble(f"tracker {name}: late pictures", error)
            counts.append(f"none in {name}: {' '.join(hook_events.describe(error).split())}")
    os.close(lock)
    return f"pictures logged: {', '.join(counts)}" if counts else "no pictures to log"


def left(folder: Any, history: History) -> dict[str, list[Any]]:
    """Tracker -> the pictures that are not in it. W&B has the trainer's own from the trainer itself."""
    names = history.runs.keys()
    everywhere = {path for path, done in history.done.items() if done >= names}
    pictures = folder.finished(everywhere, history.step_of) if names else []
    found = {
        name: [p for p in pictures if name not in history.done.get(p.path, ()) and not (p.own and name == "wandb")]
        for name in names
    }
    return {name: pictures for name, pictures in found.items() if pictures}


def log_into(
    name: str, pictures: list[Any], event: dict[str, Any], wanted: dict[str, Any], write: Callable[..., None]
) -> None:
    """The events come after the run is closed: killed before, they are logged again rather than never."""
    import hook_logs  # type: ignore[import-not-found]
    import hook_trackers

    log = hook_logs.KINDS[name].reopened(event, wanted)
    logged = []
    try:
        logged.extend(log.log(pictures))
    finally:
        log.close()
        for picture in logged:
            hook_trackers.tell(write, picture, name)


if __name__ == "__main__":
    try:
        print(main())
    except Exception as error:
        print(f"no pictures logged: {type(error).__name__}: {error}")
