"""What the tests of placement share: a machine with fake cards, its sweep, and runs that prove things among themselves.

The runs are small shell programs: `busy-<device>` is a folder that only one run at a time can make, and a run that
waits for others in `started-*` ends only if they run at the same time.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

FAKE = Path(__file__).parent / "fakes" / "fake_pynvml"
SH = ["/bin/sh", "-c"]
EACH = 'for d in $(echo "$CUDA_VISIBLE_DEVICES" | tr , " "); do '
ALONE = EACH + 'mkdir "busy-$d" || exit 7; done; '
WAIT = "i=0; until {}; do i=$((i+1)); [ $i -gt 1500 ] && exit 8; sleep 0.02; done; "
"""Thirty seconds at most: a sweep that hangs fails with 8, and not with the test's patience."""
TELL = EACH + 'rmdir "busy-$d"; done; echo "$CUDA_VISIBLE_DEVICES $CUDA_DEVICE_ORDER"'
PLAIN = ALONE + TELL
ONE = "mkdir one || exit 7; sleep 0.05; rmdir one; "
"""No other run at the same time."""
HELD = ALONE + "echo $0 >>order; " + WAIT.format("[ -e go ]") + TELL
"""A run that goes on only when the test says so (a file `go`)."""


def together(count: int) -> str:
    """A run that ends only when `count` runs have begun, so the first of them must run at the same time."""
    return ALONE + 'touch "started-$0"; ' + WAIT.format(f"[ $(ls | grep -c started-) -ge {count} ]") + TELL


@contextlib.contextmanager
def mounted(folder: Path, size: str) -> Iterator[Path]:
    """A tmpfs of this size; skips where we may not mount."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"NOT TESTED, a tmpfs cannot be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


class Machine:
    """Cards, a sweep's two files, and the command."""

    def __init__(self, folder: Path, run: Any, write: Any) -> None:
        self.folder, self.run, self.write = folder, run, write
        path = os.pathsep.join(filter(None, [str(FAKE), os.environ.get("PYTHONPATH")]))
        self.env: dict[str, str] = {"PYTHONPATH": path, "FAKE_NVML": str(folder / "nvml.json")}
        self.flags: list[str] = []
        self.background: list[subprocess.Popen[str]] = []

    def cards(self, *cards: dict[str, Any]) -> None:
        """Now, or while a sweep runs. Names: GPU-a, GPU-b ..."""
        named = [{"name": "Fake 24", "uuid": f"GPU-{'abcdefgh'[at]}", **card} for at, card in enumerate(cards)]
        (self.folder / "new.json").write_text(json.dumps(named), encoding="utf-8")
        (self.folder / "new.json").replace(self.folder / "nvml.json")

    def sweep(self, program: str, count: int, tuning: dict[str, Any] | None = None, **default: Any) -> None:
        """`count` runs of a shell program; $0 is the run's index."""
        tuning = {"n_list": list(range(count)), **(tuning or {})}
        self.flags = self.write([*SH, program, "{n}"], tuning, **default)[:4]

    def start(self, *flags: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "automate_train", *self.flags, *flags],
            cwd=self.folder,
            env={**os.environ, **self.env},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.background.append(process)
        return process

    def done(self, *flags: str) -> tuple[str, list[str]]:
        """Run the sweep to its end: its output, and for each run the devices that it saw."""
        done = self.run(*self.flags, *flags, **self.env)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr, self.seen()

    def refused(self, *flags: str) -> str:
        """Exit code 2, and nothing has started: what it says."""
        done = self.run(*self.flags, *flags, **self.env)
        assert done.returncode == 2, done.stdout + done.stderr
        assert "Traceback" not in done.stderr and not (self.folder / "out").exists()
        return str(done.stderr)

    def seen(self) -> list[str]:
        """CUDA_VISIBLE_DEVICES as each run saw it, by index."""
        logs = sorted(self.folder.glob("out/p/*/attempt-*/console.log"))
        words = [log.read_text().split() for log in logs]
        assert all(word[1:] == ["PCI_BUS_ID"] for word in words), words
        return [word[0] for word in words]

    def status(self) -> dict[int, dict[str, Any]]:
        done = self.run("status", "out/p", "--json", **self.env)
        return {run["index"]: run for run in json.loads(done.stdout)["runs"]} if done.returncode == 0 else {}

    def until(self, what: Callable[[], Any], seconds: float = 20) -> Any:
        deadline = time.monotonic() + seconds
        while not (found := what()):
            assert time.monotonic() < deadline, self.status()
            time.sleep(0.05)
        return found

    def waits(self, text: str) -> dict[int, dict[str, Any]]:
        """The status as soon as some run waits for a reason that holds `text`."""

        def look() -> dict[int, dict[str, Any]] | None:
            runs = self.status()
            return runs if any(text in run["reason"] for run in runs.values()) else None

        return self.until(look)  # type: ignore[no-any-return]
