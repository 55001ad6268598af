"""What the tests of the hook's trackers share: an attempt of the tiny trainer, pictures as a sampler leaves them, and
what TensorBoard, Aim and W&B say is in their files."""

from __future__ import annotations

import io
import json
import os
import struct
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from PIL import Image

PACKAGE = Path(__file__).parents[2] / "automate_train"
TINY = PACKAGE / "trainers" / "tiny" / "train_network.py"
CONFIG = {"unet_lr": 0.001, "network_args": ["a=1"], "flip_aug": True, "nothing": None}


class Attempt:
    """One attempt's folder under `root`, with the hook in it that looks for pictures at every step."""

    def __init__(self, root: Path, name: str = "p_lr=1", log_with: str = "all", number: int = 1) -> None:
        self.root, self.name, self.log_with = root, name, log_with
        self.path = root / "p" / name / f"attempt-{number}"
        self.home = root / "_logs"
        self.folder = self.home / "p" / f"{name}-{number}"
        self.output = self.path / "output"
        (self.path / "hook").mkdir(parents=True)
        for file in (PACKAGE / "hook").glob("*.py"):
            text = (
                file.read_text().replace("POLL_INTERVAL = 5.0", "POLL_INTERVAL = 0.0").replace("WAIT = 20", "WAIT = 0")
            )
            (self.path / "hook" / file.name).write_text(text)
        self.settings()

    def settings(self, **trackers: Any) -> None:
        known = {
            "with": self.log_with, "name": self.name, "project": "project", "group": "sweep",
            "tags": ["automate-train"], "folder": str(self.folder), "prompts": None, "config": CONFIG,
        }  # fmt: skip
        about = {
            "output_dir": str(self.output),
            "output_name": "lora",
            "tracker_home": str(self.home),
            "trackers": {**known, **trackers},
        }
        (self.path / "hook.json").write_text(json.dumps(about))

    def picture(self, name: str, step: int, text: str = "", state: str = "done", epoch: int = 1) -> None:
        """As the sampler leaves it: the PNG, then the JSON."""
        folder = self.output / "sample"
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 8), (step, 2, 3)).save(folder / f"{name}.png")
        about = {"state": state, "text": text or f"text of {name}", "step": step, "epoch": epoch}
        (folder / f"{name}.json").write_text(json.dumps(about))

    def training(self, pictures: Path, **options: Any) -> list[str]:
        """The command that trains: 2 epochs of 4 steps."""
        fixed = {
            "output_dir": str(self.output), "output_name": "lora", "dataset_config": str(pictures / "data.toml"),
            "log_with": self.log_with, "logging_dir": str(self.folder), "max_train_epochs": 2, "network_dim": 2,
            "seed": 1, "max_data_loader_n_workers": 0,
        }  # fmt: skip
        lines = [f"{key} = {json.dumps(value)}" for key, value in {**fixed, **options}.items()]
        (self.path / "training.toml").write_text("\n".join(lines))
        return self.command(TINY, "--config_file", str(self.path / "training.toml"))

    def command(self, script: Path, *args: str) -> list[str]:
        return [sys.executable, str(self.path / "hook" / "run.py"), str(script), *args]

    def late(self, **env: str) -> str:
        """What the backfill says."""
        command = [sys.executable, str(self.path / "hook" / "hook_backfill_images.py")]
        ran = subprocess.run(command, capture_output=True, text=True, env=environment(**env), timeout=60)
        assert ran.returncode == 0, ran.stderr
        assert len(ran.stdout.splitlines()) == 1
        return ran.stdout.strip()

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.path / "events.jsonl").read_text().splitlines()]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["kind"] == kind]

    def logged(self, tracker: str) -> list[tuple[str, int]]:
        """(picture's name, step) as the events have it."""
        told = [event for event in self.of("picture") if tracker in event["trackers"]]
        return [(Path(event["path"]).name, event["step"]) for event in told]


def environment(**more: str) -> dict[str, str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("WANDB", "AUTOMATE_TRAIN")) and k != "RANK"}
    quick = {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true", "WANDB_MODE": "offline", "WANDB_SILENT": "true"}
    return {**clean, **quick, **more}


def run(command: list[str], **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, env=environment(**env), timeout=120)


def dataset(folder: Path) -> Path:
    folder.mkdir()
    for number in range(4):
        Image.new("RGB", (32, 32), (60 * number, 120, 200)).save(folder / f"{number}.png")
        (folder / f"{number}.txt").write_text("a colour")
    text = "[general]\nresolution = 32\ncaption_extension = '.txt'\n[[datasets]]\nbatch_size = 2\n"
    (folder / "data.toml").write_text(f"{text}[[datasets.subsets]]\nimage_dir = '{folder}'\nnum_repeats = 2\n")
    return folder


Shown = list[tuple[str, int, str]]
"""(tag, step, caption) of each picture, sorted."""


def in_tensorboard(folder: Path) -> tuple[Shown, Mapping[str, list[int]]]:
    """And the steps of each number."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = EventAccumulator(str(folder), size_guidance={"tensors": 0, "scalars": 0})
    log.Reload()
    shown = []
    for tag in log.PluginTagToContent("images"):
        for event in log.Tensors(tag):
            width, height, data = event.tensor_proto.string_val
            assert Image.open(io.BytesIO(data)).size == (int(width), int(height))
            shown.append((tag, event.step, log.SummaryMetadata(tag).summary_description.removeprefix("    ")))
    return sorted(shown), {tag: [e.step for e in log.Scalars(tag)] for tag in log.Tags()["scalars"]}


def in_aim(home: Path) -> dict[str, tuple[Any, Shown]]:
    """Run's name -> the run, its pictures. `aim up` makes the index itself."""
    import aim
    from aim.sdk.types import QueryReportMode

    reindex = [str(Path(sys.executable).parent / "aim"), "storage", "--repo", str(home), "reindex", "--yes"]
    subprocess.run(reindex, check=True, capture_output=True, timeout=60)
    repo = aim.Repo(str(home))
    found: dict[str, tuple[Any, Shown]] = {run.name: (run, []) for run in repo.iter_runs()}
    assert len(found) == len(repo.list_all_runs())
    for run in repo.query_images("", report_mode=QueryReportMode.DISABLED).iter_runs():
        for sequence in run.iter():
            for step, image in zip(sequence.data.indices_list(), sequence.data.values_list()[0], strict=True):
                assert image.to_pil_image().getpixel((0, 0))
                found[sequence.run.name][1].append((sequence.name, step, image.caption))
    return {name: (run, sorted(shown)) for name, (run, shown) in found.items()}


def in_wandb(home: Path) -> dict[str, list[tuple[Any, list[dict[str, Any]]]]]:
    """Run's id -> its offline files in the order of time: what is known of the run, and its rows."""
    from wandb.proto import wandb_internal_pb2

    found: dict[str, list[tuple[Any, list[dict[str, Any]]]]] = {}
    for file in sorted((home / "wandb").glob("offline-run-*/*.wandb")):
        about, rows = None, []
        for data in records(file.read_bytes()):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(data)
            if record.WhichOneof("record_type") == "run" and about is None:
                about = record.run
            if record.WhichOneof("record_type") == "history":
                items = record.history.item
                rows.append({item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items})
        assert about is not None
        found.setdefault(about.run_id, []).append((about, rows))
    return found


def records(data: bytes) -> Iterator[bytes]:
    """A `.wandb` file's records; its reader is no longer in Python. LevelDB's log: a 7-byte header, then blocks of
    32 KiB with pieces `sum, length, kind` (whole 1, first 2, middle 3, last 4)."""
    assert data.startswith(b":W&B")
    at, pieces = 7, b""
    while at + 7 <= len(data):
        if (left := 32768 - at % 32768) < 7:
            at += left
            continue
        _, length, kind = struct.unpack_from("<IHB", data, at)
        pieces += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            yield pieces
            pieces = b""


def shown_in_wandb(rows: list[dict[str, Any]]) -> Shown:
    return sorted(
        (key.removesuffix("/captions"), row["global_step"], caption)
        for row in rows
        for key, value in row.items()
        if key.startswith("sample/") and key.endswith("/captions")
        for caption in value
    )
