"""Beside the tests of webui and sampler: the WebUI double as a process, LoRA files to upload, waiting for a fact.

    with webui_kit.running(tmp_path / "server", seconds=0.5, auth="bob:secret") as double:
        WebUI(double.url, auth="bob:secret") ...
        double.fault({"on": "POST /upload_lora_model", "what": "cut-after"})
        double.kill();  double.start();  double.log()["tasks"]
Switches and faults: tests/fakes/fake_webui (settings.py, faults.py).
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import requests

FAKE = Path(__file__).parent / "fakes" / "fake_webui"
T = TypeVar("T")


class Double:
    """One server; its folder and port stay the same over kill() and start()."""

    def __init__(self, home: Path, **settings: object) -> None:
        self.home, self.settings, self.port = home, settings, 0
        self.process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> Double:
        command = [sys.executable, str(FAKE), "--state", str(self.home), "--port", str(self.port)]
        for name, value in self.settings.items():
            flag = f"--{name.replace('_', '-')}"
            command += [flag if value else f"--no-{flag[2:]}"] if isinstance(value, bool) else [flag, str(value)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout
        self.port = json.loads(self.process.stdout.readline())["port"]
        return self

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.communicate()
            self.process = None

    def control(self, **what: object) -> dict[str, Any]:
        """set={...}, faults=[...], clear=True, files=[...], poison=[...], tasks=[...], paused=True: see control()."""
        answer = requests.post(f"{self.url}/_control", json=what, timeout=30)
        answer.raise_for_status()
        return dict(answer.json())

    def set(self, **settings: object) -> None:
        self.control(set=settings)

    def fault(self, *faults: dict[str, object]) -> None:
        self.control(faults=list(faults))

    def log(self) -> dict[str, Any]:
        return dict(requests.get(f"{self.url}/_log", timeout=30).json())

    def asked(self, path: str) -> list[dict[str, Any]]:
        """The requests to one path that this process has seen."""
        return [each for each in self.log()["requests"] if each["path"] == path]


@contextmanager
def running(home: Path, **settings: object) -> Iterator[Double]:
    double = Double(home, **settings)
    try:
        yield double.start()
    finally:
        double.kill()


def lora(path: Path, tensors: int = 200_000, metadata: dict[str, str] | None = None, fill: int = 1) -> Path:
    """A whole .safetensors file with `tensors` bytes of one tensor; fill 0 makes it sparse, of any size."""
    entry = {"dtype": "U8", "shape": [tensors], "data_offsets": [0, tensors]}
    header = json.dumps({"__metadata__": metadata or {"ss_output_name": "run"}, "lora_up": entry}).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as out:
        out.write(len(header).to_bytes(8, "little") + header)
        if fill:
            out.write(bytes([fill]) * tensors)
        out.truncate(8 + len(header) + tensors)
    return path


def until(wanted: Callable[[], T], seconds: float = 15.0) -> T:
    """The first true value of `wanted()`, asked for until the deadline."""
    deadline = time.monotonic() + seconds
    while not (found := wanted()):
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.02)
    return found
