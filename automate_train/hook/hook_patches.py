"""What the hook changes in the trainer's modules: each saved checkpoint and the training's begin become events.

Covers: `Accelerator.init_trackers` (a tracker of the hook's own is added: sd-scripts hands its metrics to each tracker,
not to `Accelerator.log`), `safetensors.torch.save_file`, and `Accelerator.end_training`, put off until the script has
returned because sd-scripts saves its last checkpoint after it. The modules are changed when the trainer imports them.
Not: checkpoints that are not written with `save_file` (.ckpt, diffusers folders), the metrics themselves
(`hook_metrics`), the user's trackers and their images (`hook_live_trackers`).
"""

from __future__ import annotations

import functools
import math
import os
import re
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import FrameType

    from accelerate import Accelerator
    from torch import Tensor

    from . import hook_imports, hook_metrics, hook_sample_wait
    from ._types import Settings
    from .hook_events import Events
    from .hook_live_trackers import LiveTrackers
else:  # beside this file
    import hook_imports
    import hook_metrics
    import hook_sample_wait

ENDINGS = re.compile(r"-step(?P<step>\d{8,})$|-(?P<epoch>\d{6,})$")


class Patches:
    """`settings` is hook.json; its `output_dir` and `output_name` say which of the saved files are checkpoints (without
    them: all but saved states). `trackers` is None where the user wants none. With `wait_for_samples` the training
    stands still after a checkpoint (`hook_sample_wait`)."""

    def __init__(self, events: Events, settings: Settings, trackers: LiveTrackers | None) -> None:
        self.events, self.trackers = events, trackers
        self.output_dir = settings.get("output_dir")
        self.output_name = settings.get("output_name")
        waits = bool(settings.get("wait_for_samples"))
        self.sample_wait = hook_sample_wait.SampleWait(settings, events) if waits else None
        self.progress = hook_metrics.Progress(trackers.uncounted if trackers else 0)
        look = functools.partial(trackers.log_new_images, self.progress.step_of) if trackers else None
        self.metrics = hook_metrics.Metrics(events, self.progress, self.guarded(look, "images") if look else None)
        self.put_off: list[Callable[[], object]] = []

    def install(self) -> None:
        patches = {
            "safetensors.torch": self.guarded(self.wrap_safetensors),
            "accelerate.accelerator": self.guarded(self.wrap_accelerate),
        }
        for name in patches.keys() & sys.modules.keys():
            patches.pop(name)(sys.modules[name])
        rescues = self.trackers.rescues() if self.trackers else {}
        sys.meta_path.insert(0, hook_imports.AfterImport(patches, rescues))

    def guarded(self, call: Callable[..., object], name: str = "") -> Callable[..., None]:
        """The same call; an error in it becomes an event."""
        where = name or call.__name__

        def guarded(*args: object, **kwargs: object) -> None:
            try:
                call(*args, **kwargs)
            except Exception as error:
                self.events.trouble(where, error)

        return guarded

    def wrap_safetensors(self, module: Any) -> None:
        original, saved = module.save_file, self.guarded(self.saved)

        @functools.wraps(original)
        def save_file(*args: object, **kwargs: object) -> object:
            result = original(*args, **kwargs)
            saved(*args, **kwargs)
            return result

        module.save_file = save_file

    def wrap_accelerate(self, module: Any) -> None:
        init_trackers, end_training = module.Accelerator.init_trackers, module.Accelerator.end_training
        training = self.guarded(self.training)

        @functools.wraps(init_trackers)
        def init(accelerator: Accelerator, *args: Any, **kwargs: Any) -> None:
            if self.trackers is not None:
                self.trackers.init(init_trackers, accelerator, *args, **kwargs)
            else:
                init_trackers(accelerator, *args, **kwargs)
            training(accelerator, sys._getframe(1))

        @functools.wraps(end_training)
        def end(*args: object, **kwargs: object) -> None:
            self.put_off.append(functools.partial(end_training, *args, **kwargs))

        module.Accelerator.init_trackers = init
        module.Accelerator.end_training = end

    def training(self, accelerator: Accelerator, frame: FrameType) -> None:
        """The models are loaded and the latents cached: the first step is next."""
        if not accelerator.is_main_process or self.metrics in accelerator.trackers:
            return
        accelerator.trackers.append(self.metrics)
        total, epochs, self.metrics.finished, self.metrics.whole = announced(frame)
        self.progress.total, self.progress.epochs = total, epochs
        self.events.write("training", total_steps=total, epochs=epochs)

    def saved(
        self, tensors: Mapping[str, Tensor], filename: str, metadata: Mapping[str, str] | None = None, **_: object
    ) -> None:
        path = os.path.abspath(filename)
        folder, name = os.path.split(path)
        if self.output_dir:
            if os.path.realpath(folder) != os.path.realpath(self.output_dir):
                return
        elif folder.endswith("-state"):
            return
        metadata = metadata or {}
        known = self.output_name or metadata.get("ss_output_name")
        which, epoch, step = parse_name(os.path.splitext(name)[0], None if known == "None" else known)
        if which == "last":
            epoch = self.progress.epochs
        epoch = hook_metrics.number(metadata.get("ss_epoch"), epoch)
        step = hook_metrics.number(metadata.get("ss_steps"), self.progress.step if step is None else step)
        nan, infinite = count_bad(tensors)
        fields = {"path": path, "which": which, "epoch": epoch, "step": step, "size": os.path.getsize(path)}
        self.events.write("checkpoint", **fields, tensors=len(tensors), nan=nan, inf=infinite)
        if self.sample_wait is not None:
            self.guarded(self.sample_wait.wait, "wait_for_samples")(path, which, epoch, step)

    def finish(self) -> None:
        """The script has returned or failed: write what is left, then close the trackers that it wanted closed."""
        self.guarded(self.metrics.flush)()
        if self.trackers is not None:
            self.guarded(self.trackers.log_last_images)(self.progress.step_of)
        for end_training in self.put_off:
            self.guarded(end_training, "end_training")()
        self.put_off.clear()


def announced(frame: FrameType | None) -> tuple[int | None, int | None, int, bool]:
    """`(total steps, epochs, epochs skipped, whether the first epoch is trained from its first batch)`, read from the
    trainer's variables where it calls init_trackers: all of sd-scripts' scripts give them the same names. None where
    they are not found."""
    found: dict[str, int | None] = dict.fromkeys(
        ("max_train_steps", "num_train_epochs", "epoch_to_start", "initial_step", "batches")
    )
    for _ in range(4):
        if frame is None:
            break
        known = frame.f_locals
        steps, batches = getattr(known.get("args"), "max_train_steps", None), length(known.get("train_dataloader"))
        names = {**known, "max_train_steps": steps, "batches": batches}
        found = {key: hook_metrics.number(names.get(key), None) if old is None else old for key, old in found.items()}
        frame = frame.f_back
    skipped = found["epoch_to_start"] or 0
    # `initial_step` counts the batches that are skipped, those of whole epochs included.
    whole = (found["initial_step"] or 0) <= skipped * (found["batches"] or 0)
    return found["max_train_steps"], found["num_train_epochs"], skipped, whole


def length(loader: Any) -> int | None:
    try:
        return len(loader)
    except TypeError:
        return None


def parse_name(stem: str, output_name: str | None) -> tuple[str, int | None, int | None]:
    """`(which, epoch, step)` of a checkpoint's name: `epoch`, `step`, `last`, or `other` for a file that is saved under
    a name of its own among the checkpoints. Digits at the end of the run's own name are not an epoch."""
    if output_name is not None:
        if not stem.startswith(output_name):
            return "other", None, None
        stem = stem[len(output_name) :]
    match = ENDINGS.search(stem)
    if match is None:
        return ("last" if output_name is None or stem == "" else "other"), None, None
    if output_name is not None and match.start() != 0:
        return "other", None, None
    epoch, step = match["epoch"], match["step"]
    return ("epoch", int(epoch), None) if epoch else ("step", None, int(step))


def count_bad(tensors: Mapping[str, Tensor]) -> tuple[int, int]:
    """How many tensors hold a NaN, and how many an infinity. The smallest and the largest number show both, ten times
    as fast as a test of each number: a full model has billions."""
    nan = infinite = 0
    for tensor in tensors.values():
        if not tensor.is_floating_point() or tensor.numel() == 0:
            continue
        if tensor.element_size() == 1:
            tensor = tensor.float()  # 8-bit floats have no order
        ends = [float(end) for end in tensor.detach().aminmax()]
        nan += any(math.isnan(end) for end in ends)
        infinite += any(math.isinf(end) for end in ends)
    return nan, infinite
