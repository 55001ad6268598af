"""The user's trackers while the training runs: opened under the run's name, kept from failing it, given the images.

Covers: what `Accelerator.init_trackers` opens (names, folders, options as config; the user's own tracker config wins),
the events `tracker` (which run, where) and `picture` (logged to), faults as events. Only for attempts whose hook.json
has `trackers`. Not: how each tracker is written to (`hook_trackers`), which images there are (`hook_find_images`),
images that come after the training's end (`hook_backfill_images`).
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import ModuleType

    from accelerate import Accelerator
    from accelerate.tracking import GeneralTracker

    from . import hook_find_images, hook_locks, hook_trackers
    from ._types import Settings, TrackerSettings
    from .hook_events import Events
    from .hook_imports import Rescue
else:  # beside this file
    import hook_find_images
    import hook_locks
    import hook_trackers

Call = Callable[..., object]


class LiveTrackers:
    """`settings` is hook.json, with its `trackers` and `tracker_home`."""

    def __init__(self, events: Events, settings: Settings, attempt: str) -> None:
        self.events = events
        self.wanted: TrackerSettings = {**settings["trackers"], "home": settings["tracker_home"]}
        self.open: dict[str, hook_trackers.TensorBoard | hook_trackers.Aim | hook_trackers.Wandb] = {}
        """By name; only trackers that take images."""
        self.resumed = self.wanted.get("resumed") or {}
        self.uncounted = int(self.resumed.get("uncounted_steps") or 0)
        output, prompts = settings.get("output_dir"), self.wanted.get("prompts")
        self.images = hook_find_images.SampleFolder(attempt, output, prompts, self.uncounted)
        self.lock = hook_locks.hold(os.path.join(attempt, "events.jsonl"))
        self.logged: dict[str, set[str]] = {}
        """Path of an image -> the trackers that have it."""

    def init(self, original: Call, accelerator: Accelerator, *args: Any, **kwargs: Any) -> None:
        """In place of `Accelerator.init_trackers`: calls it for one tracker at a time, so that one which fails is left
        out, and the others and the training go on."""
        _, config, user = [*args, None, None, None][:3]
        config = {**(kwargs.get("config", config) or {}), **self.wanted.get("config", {})}
        user = kwargs.get("init_kwargs", user) or {}
        chosen, opened = list(accelerator.log_with), list(accelerator.trackers)
        for each in chosen:
            accelerator.log_with, accelerator.trackers = [each], []
            name = each.name if hasattr(each, "log") else str(each)  # a tracker, or an enum's member
            try:
                self._open(name, original, accelerator, config, dict(user.get(name) or {}))
            except Exception as error:
                self.events.trouble(f"tracker {name}", error)
            else:
                opened += [self._guarded(tracker) for tracker in accelerator.trackers]
        accelerator.log_with, accelerator.trackers = chosen, opened

    def rescues(self) -> dict[str, Rescue]:
        """sd-scripts imports W&B at its start, where a broken package would end the training: let it fail later."""

        def rescue(module: ModuleType, error: Exception) -> None:
            def init(*_: object, **__: object) -> None:
                raise error

            module.init, module.login = init, lambda *_, **__: False  # type: ignore[attr-defined]

        return {"wandb": rescue} if self.wanted.get("with") in ("wandb", "all") else {}

    def _open(
        self, name: str, original: Call, accelerator: Accelerator, config: dict[str, object], given: dict[str, Any]
    ) -> None:
        kind = hook_trackers.KINDS.get(name)
        if kind is None:
            original(accelerator, self.wanted["project"], config=config, init_kwargs={name: given})
            return
        tags = list(dict.fromkeys([*given.pop("tags", ()), *self.wanted["tags"]]))
        wanted: TrackerSettings = {**self.wanted, "tags": tags}
        project, folder, kwargs = kind.arguments(wanted, given)
        if earlier := (self.resumed.get("runs") or {}).get(name):
            kwargs |= kind.going_on(earlier, self.resumed["step"])
        settings = accelerator.project_configuration
        before = settings.logging_dir
        try:
            os.makedirs(folder, exist_ok=True)
            settings.logging_dir = folder
            lock = hook_locks.exclusive(os.path.join(folder, ".aim.lock")) if name == "aim" else nullcontext()
            with lock:
                original(accelerator, project, init_kwargs={name: kwargs})
        finally:
            settings.logging_dir = before
        for tracker in accelerator.trackers:
            try:
                self.open[name] = log = kind.opened(tracker, tags, kwargs, config)
                self.events.write("tracker", name=name, **log.identity())
            except Exception as error:
                self.events.trouble(f"tracker {name}", error)

    def _guarded(self, tracker: GeneralTracker) -> GeneralTracker:
        """The same tracker; its methods write an event where they would raise."""
        for method in ("log", "log_images", "log_table", "store_init_configuration", "finish"):
            call = getattr(tracker, method, None)
            if call is not None:
                setattr(tracker, method, self._harmless(tracker.name, method, call))
        return tracker

    def _harmless(self, name: str, method: str, call: Call) -> Call:
        @functools.wraps(call)
        def harmless(*args: Any, **kwargs: Any) -> None:
            try:
                log = self.open.get(name)
                if method == "log" and isinstance(log, hook_trackers.Wandb) and kwargs.get("step") is not None:
                    log.counted = True
                if method == "log" and self.uncounted:
                    args, kwargs = whole_steps(self.uncounted, *args, **kwargs)
                call(*args, **kwargs)
            except Exception as error:
                self.events.trouble(f"tracker {name}: {method}", error)

        return harmless

    def log_new_images(self, step_of: Callable[[int], int]) -> None:
        """Log the images that have come since the last call; costs one stat when the folder has not changed."""
        if self.open and self.images.changed():
            self._log(step_of)

    def log_last_images(self, step_of: Callable[[int], int]) -> None:
        """The training is over; the trackers are still open."""
        if isinstance(wandb := self.open.get("wandb"), hook_trackers.Wandb):
            wandb.counted = False
        self._log(step_of)
        if wandb is not None:
            self.events.write("tracker", name="wandb", **wandb.identity())  # now with its last row

    def _log(self, step_of: Callable[[int], int]) -> None:
        for name, missing in self.images.missing(self.open, self.logged, step_of).items():
            try:
                for image in self.open[name].log(missing):
                    self.logged[image.path].add(name)
                    hook_trackers.write_logged(self.events, image, name)
            except Exception as error:
                self.events.trouble(f"tracker {name}: picture", error)
            else:
                if any(name not in self.logged[image.path] for image in missing):
                    self.images.seen = None  # it took only some of them: try again


def whole_steps(
    uncounted: int, values: Mapping[str, Any], step: int | None = None, **more: object
) -> tuple[tuple[dict[str, Any]], dict[str, object]]:
    """The arguments of a tracker's `log` with steps of the whole training. Logs without a step's loss (an epoch's
    average) have the epoch's number there, which the trainer counts from the beginning."""
    counted = {**values}
    if counted.get("global_step") is not None:
        counted["global_step"] += uncounted
    if step is not None and ("loss/current" in counted or "loss" in counted):
        step += uncounted
    return (counted,), {**more, "step": step}
