"""Beside the tests of the sampler: hand-made sweeps, the sampler as a process, what is on the disk.

sweep = Sweep(tmp_path, urls=[double.url], prompts="a cat --d 1\\n")
attempt = sweep.run("k0", epochs=3)
assert sweep.sample() == 0
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import webui_kit
from process_kit import ended

from automate_train import records
from automate_train.records import Checkpoint, Launch, Outcome, RunRecord
from automate_train.store.journal import Journal
from automate_train.store.launch import write_launch
from automate_train.store.layout import SweepFolder


class Sweep:
    """One sweep's folder with runs that seem to have been trained."""

    def __init__(self, home: Path, urls: list[str], prompts: str = "a cat --d 1\n", **options: Any) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.home = home
        self.prompts = home / "prompts.txt"
        self.prompts.write_text(prompts)
        asked = {"use_external_webui": True, "webui_urls": urls, "prompt_path": str(self.prompts)}
        self.options = {**asked, **options}
        self.folder = SweepFolder(home / "out", "p")
        self.folder.path.mkdir(parents=True)
        self.journal = Journal(self.folder.journal)
        self.count = 0

    def run(self, key: str, epochs: int = 0, ended: bool = True, tensors: int = 100_000, **options: Any) -> Attempt:
        """A run with a checkpoint an epoch, all of them saved."""
        record = RunRecord(key, self.count, self.count, key, key, {}, {**self.options, **options})
        self.count += 1
        begun = self.journal.begin(record, (), 1.0)
        folder = self.folder.attempt(begun.folder)
        folder.path.mkdir(parents=True, exist_ok=True)
        write_launch(folder, Launch((sys.executable,), str(self.home)), record, (), 1.0)
        attempt = Attempt(self, begun, folder.path, key)
        for epoch in range(1, epochs + 1):
            attempt.save(epoch, last=epoch == epochs, tensors=tensors)
        if ended:
            attempt.end()
        return attempt

    def command(self, *flags: str) -> list[str]:
        return [sys.executable, "-m", "automate_train", "sample", str(self.folder.path), *flags]

    def start(self, *flags: str, **env: str) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        return subprocess.Popen(
            self.command(*flags), cwd=self.home, env={**os.environ, **env}, text=True, stdin=pipe, stdout=pipe,
            stderr=subprocess.STDOUT,
        )  # fmt: skip

    def sample(self, *flags: str, seconds: float = 60, **env: str) -> tuple[int, str]:
        """(exit code, what was said)"""
        return ended(self.start(*flags, **env), seconds)

    def pictures(self) -> dict[str, dict[str, Any]]:
        """{file name of a .json: its content}, of all runs; each with its PNG if it names one."""
        found = {}
        for file in sorted(self.folder.path.glob("*/attempt-*/output/sample/*.json")):
            about = json.loads(file.read_text())
            if about["png"]:
                assert (file.parent / about["png"]).read_bytes().startswith(b"\x89PNG")
            found[f"{file.parents[3].name}/{file.name}"] = about
        return found

    def states(self) -> Counter[str]:
        return Counter(each["state"] for each in self.pictures().values())

    def left_over(self) -> list[str]:
        """Files that nobody wants: half pictures, PNGs without a mark, links to checkpoints."""
        samples = [
            p for p in self.folder.path.rglob("*") if p.is_file() and ("sample" in p.parts or "baseline" in p.parts)
        ]
        known = {file.with_suffix("").with_name(file.name[:-5]) for file in samples if file.name.endswith(".json")}
        wanted = [p for p in samples if p.name.endswith((".json", ".final"))]
        wanted += [p for p in samples if p.name.endswith(".png") and p.with_name(p.name[:-4]) in known]
        return sorted(str(p.relative_to(self.folder.path)) for p in set(samples) - set(wanted))


class Attempt:
    def __init__(self, sweep: Sweep, begun: records.Attempt, path: Path, key: str) -> None:
        self.sweep, self.begun, self.path, self.key = sweep, begun, path, key
        (path / "output").mkdir(parents=True)
        (path / "hook.json").write_text("{}")

    @property
    def samples(self) -> Path:
        return self.path / "output" / "sample"

    def save(self, epoch: int, last: bool = False, tensors: int = 100_000, told: bool = True) -> Path:
        """A checkpoint, told by the hook's event and (unless `told` is False) by the orchestrator in the journal."""
        name = self.key if last else f"{self.key}-{epoch:06d}"
        file = webui_kit.lora(self.path / "output" / f"{name}.safetensors", tensors + epoch, fill=epoch % 250 + 1)
        which, at = "last" if last else "epoch", 1000.0 + self.sweep.count + epoch / 100
        event = {"at": at, "kind": "checkpoint", "path": str(file), "which": which, "epoch": epoch, "step": epoch * 10}
        with open(self.path / "events.jsonl", "a") as out:
            out.write(json.dumps({"at": at, "kind": "metrics", "step": epoch * 10, "loss": 0.1}) + "\n")
            out.write(json.dumps(event) + "\n")
        if told:
            self.sweep.journal.add_checkpoint(self.begun.id, Checkpoint(str(file), which, epoch, epoch * 10, at))
        return file

    def end(self) -> None:
        self.sweep.journal.end(self.begun, Outcome("succeeded", 0), 2.0, {})


def assert_clean(double: webui_kit.Double, *theirs: str) -> None:
    """Nothing of ours is left on the server, and everybody else's files are there."""
    log = double.log()
    assert log["files"] == sorted(theirs)
    asked = {(each["method"], each["path"]) for each in log["requests"]}
    assert not [path for _, path in asked if path.endswith(("clear", "requeue-failed", "requeue", "overwrite"))]
