"""A long sweep: the orchestrator does not grow. Short runs over 8 slots, measured in /proc while it works."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ground import told

from automate_train.store.journal import Journal


def kilobytes(pid: int) -> int:
    """Resident memory that is its own (VmRSS holds pages of shared libraries, too, which come and go)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1])
    raise AssertionError("no RssAnon")


@pytest.mark.parametrize(
    ("runs", "settled"),
    [pytest.param(320, 160, marks=pytest.mark.slow), pytest.param(2000, 200, marks=pytest.mark.faults)],
)
def test_a_soak(tmp_path: Path, runs: int, settled: int):
    (tmp_path / "s.json").write_text(
        json.dumps({
            "project_name_base": "p", "temp_dir": "out", "trainer": "command", "n_list": list(range(runs)),
            "command": ["/bin/sh", "-c", "echo run $0; sleep 0.1", "{n}"],
        }), encoding="utf-8"
    )  # fmt: skip
    command = [sys.executable, "-m", "automate_train", "--default_config_path", "s.json", "--cpu", "8", "--plain"]
    journal = tmp_path / "out/p/journal.sqlite"
    began, seen = time.monotonic(), []
    with (tmp_path / "said.log").open("wb") as said:
        process = subprocess.Popen(command, cwd=tmp_path, stdout=said, stderr=said)
    while process.poll() is None:
        with contextlib.suppress(OSError, AssertionError):
            done = sum(1 for _ in os.scandir(journal.parent)) if journal.exists() else 0
            disk = sum(path.stat().st_size for path in journal.parent.glob("journal.sqlite*"))
            fds = [os.readlink(f"/proc/{process.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{process.pid}/fd")]
            # One pidfd a running attempt: the others are what must not become more.
            others = sum("pidfd" not in fd for fd in fds)
            seen.append((done, kilobytes(process.pid), others, len(fds), disk))
        time.sleep(0.2)
    seconds = time.monotonic() - began
    (tmp_path / "seen.json").write_text(json.dumps(seen))
    assert process.returncode == 0, (tmp_path / "said.log").read_text()[-2000:]
    records = list(Journal(journal, read_only=True).records())
    assert len(records) == runs and {record.state for record in records} == {"succeeded"}
    early = [each for each in seen if settled * 0.5 <= each[0] <= settled * 1.5]
    late = [each for each in seen if runs * 0.8 < each[0] < runs]  # the summary at the end holds every row once
    assert early and late
    before, after = max(each[1] for each in early), max(each[1] for each in late)
    size = max(each[4] for each in seen) / 1e6
    told(
        f"{runs} runs over 8 slots in {seconds:.0f} s; memory {before} kB after {settled}, {after} kB at the end "
        f"({after / before - 1:+.1%}); descriptors {max(each[2] for each in early)}, then "
        f"{max(each[2] for each in late)} (and at most {max(each[3] - each[2] for each in seen)} pidfds); "
        f"journal and WAL at most {size:.1f} MB"
    )
    assert after < before * 1.10, "the orchestrator grows"
    assert max(each[2] for each in late) <= max(each[2] for each in early)
    assert max(each[3] - each[2] for each in seen) <= 8
    assert size < (5 if runs > 1000 else 3), "the journal grows"
