"""TensorBoard, Aim and W&B: what each is opened with, how it takes an image, how a closed run is opened again.

Covers: TensorBoard (one folder a run), Aim (one repository for all runs of all sweeps), W&B (files under the same
root). A class each, with the same methods: `arguments`, `going_on`, `opened`, `identity` (what reopening needs to
know), `log` (yields each image that it has taken), `close`, `reopened`. A tracker's package is imported where it is
used and not before. Not: when this happens and what is done about faults (`hook_live_trackers`,
`hook_backfill_images`).
"""

from __future__ import annotations

import functools
import json
import logging
import os
import struct
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import BinaryIO

    import wandb
    from accelerate.tracking import AimTracker, TensorBoardTracker, WandBTracker
    from aim.sdk.run import Run
    from tensorboard.compat.proto.summary_pb2 import Summary  # type: ignore[import-untyped]
    from tensorboard.summary.writer.event_file_writer import EventFileWriter  # type: ignore[import-untyped]
    from torch.utils.tensorboard import SummaryWriter

    from ._types import TrackerRun, TrackerSettings
    from .hook_events import Events
    from .hook_find_images import SampleImage

Arguments = tuple[str, str, dict[str, Any]]
"""`(project's name, folder, keyword arguments)` for accelerate's tracker."""
Options = Mapping[str, object]


class TensorBoard:
    name = "tensorboard"

    def __init__(
        self, add: Callable[[Summary, int], None], writer: SummaryWriter | EventFileWriter, where: str
    ) -> None:
        self.add, self.writer, self.where = add, writer, where

    @staticmethod
    def arguments(wanted: TrackerSettings, given: dict[str, Any]) -> Arguments:
        folder, name = os.path.split(wanted["folder"])
        return name, folder, given

    @staticmethod
    def going_on(event: TrackerRun, step: int) -> dict[str, object]:
        """More keyword arguments for a training that goes on after `step`; `event`: of the attempt before. Here: what
        that attempt has logged after `step` is not shown any more."""
        return {"purge_step": step + 1}

    @classmethod
    def opened(cls, tracker: TensorBoardTracker, tags: list[str], kwargs: Options, config: Options) -> TensorBoard:
        """The options go into the run's own folder: accelerate would make them another run in TensorBoard."""
        from torch.utils.tensorboard.summary import hparams  # type: ignore[attr-defined]

        writer = tracker.writer
        plain = {key: value if isinstance(value, (bool, int, float, str)) else json.dumps(value, default=str)
                 for key, value in config.items() if value is not None}  # fmt: skip
        if plain:
            for summary in hparams(plain, {"loss/average": 0}):  # type: ignore[no-untyped-call]
                writer.file_writer.add_summary(summary)
        return cls(writer.file_writer.add_summary, writer, os.path.abspath(writer.log_dir))

    @classmethod
    def reopened(cls, event: TrackerRun) -> TensorBoard:
        from tensorboard.compat.proto.event_pb2 import Event  # type: ignore[import-untyped]
        from tensorboard.summary.writer.event_file_writer import EventFileWriter  # type: ignore[import-untyped]

        writer = EventFileWriter(event["where"], filename_suffix=".pictures")

        def add(summary: Summary, step: int) -> None:
            writer.add_event(Event(summary=summary, step=step, wall_time=time.time()))

        return cls(add, writer, event["where"])

    def identity(self) -> TrackerRun:
        return {"run": None, "where": self.where}

    def log(self, images: Sequence[SampleImage]) -> Iterator[SampleImage]:
        from tensorboard.compat.proto.summary_pb2 import Summary  # type: ignore[import-untyped]
        from tensorboard.compat.proto.tensor_pb2 import TensorProto  # type: ignore[import-untyped]
        from tensorboard.compat.proto.types_pb2 import DT_STRING  # type: ignore[import-untyped]
        from tensorboard.plugins.image.metadata import create_summary_metadata  # type: ignore[import-untyped]

        for image in images:
            with open(image.file, "rb") as stream:
                data = stream.read()
            size = [b"%d" % side for side in struct.unpack(">II", data[16:24])]  # where each PNG has it
            tensor = TensorProto(dtype=DT_STRING, string_val=[*size, data])
            tensor.tensor_shape.dim.add(size=3)
            # The older form for images, which torch writes, loses the caption on its way to the browser.
            # TensorBoard reads it as Markdown: as code, so that what stands between `<` and `>` is shown.
            text = textwrap.indent(image.caption, "    ")
            about = create_summary_metadata(display_name=image.tag, description=text)
            self.add(Summary(value=[Summary.Value(tag=image.tag, tensor=tensor, metadata=about)]), image.step)
            self.writer.flush()
            yield image

    def close(self) -> None:
        self.writer.close()


class Aim:
    name = "aim"

    def __init__(self, run: Run) -> None:
        self.run = run

    @staticmethod
    def arguments(wanted: TrackerSettings, given: dict[str, Any]) -> Arguments:
        kwargs = {"experiment": wanted["project"], "capture_terminal_logs": False, **given}  # there is console.log
        return kwargs.pop("name", wanted["name"]), kwargs.pop("repo", wanted["home"]), kwargs

    @staticmethod
    def going_on(event: TrackerRun, step: int) -> dict[str, object]:
        return {"run_hash": event["run"], "force_resume": True}

    @classmethod
    def opened(cls, tracker: AimTracker, tags: list[str], kwargs: Options, config: Options) -> Aim:
        for tag in tags:
            tracker.writer.add_tag(tag)
        tracker.writer["hparams"] = {key: value for key, value in config.items() if value is not None}
        return cls(tracker.writer)

    @classmethod
    def reopened(cls, event: TrackerRun) -> Aim:
        from aim import Run  # type: ignore[attr-defined]

        # A killed training leaves its lock behind, and no other process has this run: force, without a warning.
        logging.getLogger("aim.sdk.lock_manager").setLevel(logging.ERROR)
        quiet = {"system_tracking_interval": None, "capture_terminal_logs": False}
        return cls(Run(run_hash=event["run"], repo=event["where"], force_resume=True, **quiet))

    def identity(self) -> TrackerRun:
        return {"run": self.run.hash, "where": os.path.abspath(self.run.repo.root_path)}

    def log(self, images: Sequence[SampleImage]) -> Iterator[SampleImage]:
        import aim
        from PIL import Image

        for image in images:
            with open(image.file, "rb") as stream, Image.open(stream) as opened:
                # Aim would compress each image anew, which takes 0.3 s; the file's own bytes are as good.
                opened.save = functools.partial(copy, image.file)
                value = aim.Image(opened, caption=image.caption)  # type: ignore[attr-defined]
            self.run.track(value, name=image.tag, step=image.step, epoch=image.epoch)
            yield image

    def close(self) -> None:
        self.run.close()  # type: ignore[no-untyped-call]


class Wandb:
    name = "wandb"

    def __init__(self, run: wandb.Run, where: str, row: int | None = None) -> None:
        self.run, self.where = run, where
        self.row = row
        """The next row's number, where it must be given: W&B does not know it in a second offline file of a run."""
        self.counted = False
        """Whether the trainer numbers W&B's rows itself, as sd-scripts' full trainers do."""

    @staticmethod
    def arguments(wanted: TrackerSettings, given: dict[str, Any]) -> Arguments:
        ours = {"name": wanted["name"], "group": wanted["group"], "dir": wanted["home"], "tags": wanted["tags"]}
        kwargs = {**ours, **given}
        return kwargs.pop("project", wanted["project"]), wanted["home"], kwargs

    @staticmethod
    def going_on(event: TrackerRun, step: int) -> dict[str, object]:
        return {"id": event["run"], "resume": "allow"}

    @classmethod
    def opened(cls, tracker: WandBTracker, tags: list[str], kwargs: Options, config: Options) -> Wandb:
        tracker.run.config.update(dict(config), allow_val_change=True)
        tracker.run.define_metric("sample/*", step_metric="global_step")
        return cls(tracker.run, os.path.abspath(str(kwargs["dir"])))

    @classmethod
    def reopened(cls, event: TrackerRun) -> Wandb:
        import wandb

        run = wandb.init(
            id=event["run"],
            resume="allow",
            dir=event["where"],
            name=event.get("title"),
            mode="offline" if event.get("offline") else None,
            settings=wandb.Settings(console="off", silent=True),
            project=event.get("project") or None,
            entity=event.get("entity") or None,
            group=event.get("group") or None,
        )
        run.define_metric("sample/*", step_metric="global_step")
        return cls(run, event["where"], event["row"] if event.get("offline") else None)

    def identity(self) -> TrackerRun:
        run = self.run
        who: TrackerRun = {"project": run.project, "entity": run.entity, "title": run.name, "group": run.group}
        return {**who, "run": run.id, "where": self.where, "offline": bool(run.offline), "row": run.step}

    def log(self, images: Sequence[SampleImage]) -> Iterator[SampleImage]:
        """The images of a step are one row, with `global_step`. Where the trainer numbers the rows, only one of ours
        fits between two of its rows: the caller offers the others again."""
        import wandb

        rows: dict[int, list[SampleImage]] = {}
        for image in images:
            rows.setdefault(image.step, []).append(image)
        for step, row in list(rows.items())[: 1 if self.counted else None]:
            shown: dict[str, list[wandb.Image]] = {}
            for image in row:
                shown.setdefault(image.tag, []).append(wandb.Image(image.file, caption=image.caption))
            values = {"epoch": row[0].epoch, "global_step": step}
            known = {key: value for key, value in values.items() if value is not None}
            self.run.log({**shown, **known}, step=self.row)
            self.row = None if self.row is None else self.row + 1
            yield from row

    def close(self) -> None:
        self.run.finish()


def copy(source: str, file: BinaryIO, **_: object) -> None:
    """In place of an image's `save`: the file that it was read from."""
    with open(source, "rb") as stream:
        file.write(stream.read())


KINDS: dict[str, type[TensorBoard | Aim | Wandb]] = {kind.name: kind for kind in (TensorBoard, Aim, Wandb)}


def write_logged(events: Events, image: SampleImage, name: str) -> None:
    """The event that keeps an image from being logged to this tracker again."""
    events.write("picture", path=image.path, trackers=[name], tag=image.tag, step=image.step, epoch=image.epoch)
