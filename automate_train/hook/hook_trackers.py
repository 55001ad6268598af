"""The user's trackers: opened one by one under the run's name, kept from failing the training, given the pictures.

Covers: what `Accelerator.init_trackers` opens (names, folders, options as config; the user's own tracker config wins),
the events `tracker` (which run, where) and `picture` (logged to), faults as events. For attempts whose hook.json has
`trackers`. Not: how each tracker is spoken to (`hook_logs`), which pictures there are (`hook_pictures`), what comes
after the training's end (`log_pictures`).
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import hook_logs  # type: ignore[import-not-found]  # beside this file
import hook_pictures  # type: ignore[import-not-found]


class Trackers:
    """`settings` is hook.json. Its `trackers` has what the user wants to log `with`, the `name` of the run, `project`,
    `group`, `tags`, `config` (the options), `folder` (TensorBoard's, of this run) and `prompts` (the trainer's prompt
    file); `tracker_home` is for the trackers that keep all runs in one place."""

    def __init__(
        self, write: Callable[..., None], trouble: Callable[[str, Exception], None], settings: Any, attempt: str
    ) -> None:
        self.write, self.trouble = write, trouble
        self.wanted = {**settings["trackers"], "home": settings["tracker_home"]}
        self.live: dict[str, Any] = {}
        """Name -> one of `hook_logs`' classes, for trackers that pictures can go to."""
        self.pictures = hook_pictures.Folder(attempt, settings.get("output_dir"), self.wanted.get("prompts"))
        self.lock = hold(os.path.join(attempt, "events.jsonl"))
        self.logged: dict[str, set[str]] = {}

    def init(self, original: Callable[..., Any], accelerator: Any, *args: Any, **kwargs: Any) -> None:
        """In place of `Accelerator.init_trackers`: the same for each tracker by itself, so that one which fails is left
        out and the others and the training go on."""
        _, config, user = [*args, None, None, None][:3]
        config = {**(kwargs.get("config", config) or {}), **self.wanted.get("config", {})}
        user = kwargs.get("init_kwargs", user) or {}
        chosen, opened = list(accelerator.log_with), list(accelerator.trackers)
        for each in chosen:
            accelerator.log_with, accelerator.trackers = [each], []
            name = each.name if hasattr(each, "log") else str(each)  # a tracker, or an enum's member
            try:
                self._open(name, original, accelerator, config, user)
            except Exception as error:
                self.trouble(f"tracker {name}", error)
            else:
                opened += [self._guarded(tracker) for tracker in accelerator.trackers]
        accelerator.log_with, accelerator.trackers = chosen, opened

    def rescues(self) -> dict[str, Callable[[Any, Exception], None]]:
        """sd-scripts imports W&B at its start, where a broken package would end the training: let it fail later."""

        def rescue(module: Any, error: Exception) -> None:
            def init(*_: Any, **__: Any) -> None:
                raise error

            module.init, module.login = init, lambda *_, **__: False

        return {"wandb": rescue} if self.wanted.get("with") in ("wandb", "all") else {}

    def _open(
        self, name: str, original: Callable[..., Any], accelerator: Any, config: dict[str, Any], user: Mapping[str, Any]
    ) -> None:
        kind = hook_logs.KINDS.get(name)
        if kind is None:
            original(accelerator, self.wanted["project"], config=config, init_kwargs=dict(user))
            return
        given = dict(user.get(name) or {})
        wanted = {**self.wanted, "tags": list(dict.fromkeys([*given.pop("tags", ()), *self.wanted["tags"]]))}
        project, folder, kwargs = kind.arguments(wanted, given)
        settings = accelerator.project_configuration
        before = settings.logging_dir
        try:
            os.makedirs(folder, exist_ok=True)
            settings.logging_dir = folder
            with exclusive(os.path.join(folder, ".aim.lock") if name == "aim" else None):
                original(accelerator, project, init_kwargs={name: kwargs})
        finally:
            settings.logging_dir = before
        for tracker in accelerator.trackers:
            try:
                self.live[name] = log = kind.opened(tracker, {**wanted, **kwargs}, config)
                self.write("tracker", name=name, **identity(log))
            except Exception as error:
                self.trouble(f"tracker {name}", error)

    def _guarded(self, tracker: Any) -> Any:
        """The same tracker; its methods write an event where they would raise."""
        for method in ("log", "log_images", "log_table", "store_init_configuration", "finish"):
            call = getattr(tracker, method, None)
            if call is not None:
                setattr(tracker, method, self._harmless(tracker.name, method, call))
        return tracker

    def _harmless(self, name: str, method: str, call: Callable[..., Any]) -> Callable[..., None]:
        @functools.wraps(call)
        def harmless(*args: Any, **kwargs: Any) -> None:
            try:
                if method == "log" and name == "wandb" and kwargs.get("step") is not None and name in self.live:
                    self.live[name].counted = True
                call(*args, **kwargs)
            except Exception as error:
                self.trouble(f"tracker {name}: {method}", error)

        return harmless

    def look(self, step_of: Callable[[int], int]) -> None:
        """Log what has come since the last look; nearly nothing is done when the folder has not changed."""
        if self.live and self.pictures.changed():
            self._log(step_of)

    def last_look(self, step_of: Callable[[int], int]) -> None:
        """The training is over, the trackers are still open."""
        if not self.live:
            return
        if (wandb := self.live.get("wandb")) is not None:
            wandb.counted = False
        self._log(step_of)
        if wandb is not None:
            self.write("tracker", name="wandb", **identity(wandb))  # now with its last row

    def _log(self, step_of: Callable[[int], int]) -> None:
        everywhere = {path for path, names in self.logged.items() if names >= set(self.live)}
        pictures = self.pictures.finished(everywhere, step_of)
        for picture in pictures:
            names = self.logged.setdefault(picture.path, set())
            if picture.own:  # the trainer itself has logged it there
                names.add("wandb")
        for name, log in self.live.items():
            left = [picture for picture in pictures if name not in self.logged[picture.path]]
            try:
                for picture in log.log(left):
                    self.logged[picture.path].add(name)
                    tell(self.write, picture, name)
            except Exception as error:
                self.trouble(f"tracker {name}: picture", error)
            else:
                if any(name not in self.logged[picture.path] for picture in left):
                    self.pictures.seen = None  # it took a part: look again


def identity(log: Any) -> dict[str, Any]:
    """What reopening needs to know: `run` (None: the folder says it), `where`, and more for W&B."""
    row = {"row": log.run.step} if log.name == "wandb" else {}
    return {**log.identity(), **row}


def tell(write: Callable[..., None], picture: Any, name: str) -> None:
    """The event that keeps a picture from being logged to this tracker again."""
    write("picture", path=picture.path, trackers=[name], tag=picture.tag, step=picture.step, epoch=picture.epoch)


def hold(file: str, seconds: float = 0.0) -> int | None:
    """Mark `file` as this process's for as long as the process lives; None when another one has it, or there is none.

    `seconds`: how long to wait for it. Where locks are not supported everything is free."""
    import time

    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    end = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                os.close(descriptor)
                return None
            time.sleep(0.05)
        except OSError:
            return descriptor
        else:
            return descriptor


@contextlib.contextmanager
def exclusive(file: str | None) -> Iterator[None]:
    """One process at a time: two that make an Aim repo at once spoil it for each other. None: no lock."""
    if file is None:
        yield
        return
    with open(file, "w") as stream:
        with contextlib.suppress(OSError):
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield
