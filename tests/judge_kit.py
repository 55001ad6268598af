"""Beside the tests of the judge: hand-made sweeps with checkpoints, a fake model that measures, the judge as a process.

The fake model stands where the tiny trainer's does (`<folder>/tiny/measure.py`): a checkpoint's error is a number in
its metadata, each load of the base is a line of `loads`.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import toml
from process_kit import ended

from automate_train.records import Attempt, Checkpoint, Launch, Outcome, RunRecord, Score
from automate_train.store.journal import Journal
from automate_train.store.launch import write_attempt
from automate_train.store.layout import AttemptFolder, SweepFolder
from automate_train.store.scores import read_scores

FAKE = """
import json, os, time
HOME = os.path.dirname(os.path.abspath(__file__))
SECONDS = float(os.environ.get("FAKE_SECONDS", "0"))
class Measure:
    def __init__(self, setup, pictures):
        self.names = [each["name"] for each in pictures]
        with open(os.path.join(HOME, "threads"), "w") as file:
            file.write(os.environ.get("OMP_NUM_THREADS", ""))
        with open(os.path.join(HOME, "captions"), "w") as file:
            file.write("|".join(each["caption"] for each in pictures))
        with open(os.path.join(HOME, "visible"), "w") as file:
            file.write(os.environ["CUDA_VISIBLE_DEVICES"])
        with open(os.path.join(HOME, "loads"), "a") as file:
            file.write(f"{os.getpid()}\\n")
        time.sleep(SECONDS)
    def scores(self, checkpoint, items):
        value = 1.0
        if checkpoint:
            data = open(checkpoint, "rb").read()
            value = float(json.loads(data[8:8 + int.from_bytes(data[:8], "little")])["__metadata__"]["error"])
        if value == 13.0:
            os._exit(7)
        if value == 14.0:
            raise ValueError("does not fit")
        for item in items[:1] if value == 16.0 else items:
            time.sleep(SECONDS)
            yield item, value + self.names.index(item)
"""


def safetensors(error: object = 0.5) -> bytes:
    """A whole file with one number, and what the fake model says of it."""
    header = {"__metadata__": {"error": str(error)}, "x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + struct.pack("<f", 0.0)


class Sweep:
    def __init__(self, home: Path, pictures: int = 2) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.home, self.trainer = home, home / "tiny"
        self.trainer.mkdir()
        (self.trainer / "train_network.py").touch()
        (self.trainer / "measure.py").write_text(FAKE)
        self.folder = SweepFolder(home / "out", "p")
        self.folder.path.mkdir(parents=True)
        self.journal = Journal(self.folder.journal)
        self.pictures = [home / f"{number:02d}.png" for number in range(pictures)]
        for number, path in enumerate(self.pictures):
            path.write_bytes(f"picture {number}".encode())
        self.captions: list[str] = []
        self.hold_out()
        self.count = 0

    def hold_out(self) -> None:
        texts = self.captions or [""] * len(self.pictures)
        listed = [
            {"path": str(path), "subset": str(self.home), "name": path.name, "why": "chosen", "caption_text": text,
             "caption": str(path.with_suffix(".txt")), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
            for path, text in zip(self.pictures, texts, strict=True)
        ]  # fmt: skip
        about = {"version": 1, "request": len(listed), "of": 20, "digest": "0a1b2c3d", "pictures": listed}
        self.folder.held_out.write_text(json.dumps(about))

    def run(
        self, *errors: object, script: Path | None = None, python: str = sys.executable, ended: bool = True,
        gpus: int = 0, threads: int = 0, **options: Any,
    ) -> AttemptFolder:  # fmt: skip
        """A run with a checkpoint an epoch: each with the error that the fake model will say, or with its bytes."""
        key = f"{self.count:016x}"
        record = RunRecord(key, self.count, self.count, f"r{self.count}", f"r{self.count}", {}, {})
        self.count += 1
        begun = self.journal.begin(record, (), 1.0)
        attempt = self.folder.attempt(begun.folder)
        argv = (python, str(script or self.trainer / "train_network.py"), "--config_file", str(attempt.training))
        env = {"OMP_NUM_THREADS": str(threads)} if threads else {}
        files = {attempt.TRAINING: toml.dumps(options), attempt.DATASET: toml.dumps({"general": {"resolution": 64}})}
        write_attempt(attempt, Launch(argv, str(self.home), env, files=files, gpus=gpus), record, (), 1.0)
        for epoch, error in enumerate(errors, 1):
            self.save(begun, epoch, error if isinstance(error, bytes) else safetensors(error))
        if ended:
            self.journal.set_outcome(begun.id, Outcome("succeeded", 0), 2.0, {})
        return attempt

    def save(self, begun: Attempt, epoch: int, data: bytes) -> Path:
        file = self.folder.attempt(begun.folder).output / f"x-{epoch:06d}.safetensors"
        file.write_bytes(data)
        saved = Checkpoint(str(file), "epoch", epoch, epoch * 10, float(self.count * 100 + epoch), begun.number)
        self.journal.add_checkpoint(begun.id, saved)
        return file

    def start(self, *flags: str, **env: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "automate_train", "judge", str(self.folder.path), *flags], cwd=self.home, text=True,
            env={**os.environ, **env}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def judge(self, *flags: str, seconds: float = 120, **env: str) -> tuple[int, str]:
        """(exit code, what was said)"""
        return ended(self.start(*flags, **env), seconds)

    def scores(self) -> list[Score]:
        return read_scores(self.folder)

    def lines(self) -> list[tuple[str, str, str]]:
        """(measure, checkpoint, item) of every whole line of the file, duplicates too."""
        found = []
        for line in self.folder.scores.read_text().splitlines():
            try:
                score = json.loads(line)
            except ValueError:  # a line that a kill has cut off
                continue
            found.append((score["measure"], score["checkpoint"], score["item"]))
        return found

    def loads(self) -> list[int]:
        """The process ids of the programs that have loaded the base."""
        file = self.trainer / "loads"
        return [int(line) for line in file.read_text().split()] if file.exists() else []


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
