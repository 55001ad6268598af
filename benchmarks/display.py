"""The live table over eight runs that train: what the orchestrator itself uses of a core and of memory."""

from __future__ import annotations

import json
import os
import pty
import sys
import tempfile
import time
from pathlib import Path

from .floor import ENVIRONMENT

RUNS, SECONDS = 8, 20
TRAINER = """
import json, os, time
out = open(os.environ["AUTOMATE_TRAIN_ATTEMPT"] + "/events.jsonl", "a", buffering=1)
def tell(kind, **fields): out.write(json.dumps({"at": time.time(), "kind": kind, **fields}) + "\\n")
tell("training", total_steps=1000, epochs=10)
began = time.time()
for step in range(1000):
    if time.time() - began > %d: break
    tell("metrics", step=step, epoch=1 + step // 100, loss=0.1, average=0.1, lr={"unet": 1e-4})
    time.sleep(0.5)
"""


def live() -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        config = {
            "project_name_base": "bench", "trainer": "command", "n_list": list(range(RUNS)), "temp_dir": folder,
            "command": [sys.executable, "-c", TRAINER % (SECONDS + 5), "{n}"],
        }  # fmt: skip
        file = Path(folder, "bench.json")
        file.write_text(json.dumps(config))
        argv = [sys.executable, "-m", "automate_train", "--tuning_config_path", str(file), "--cpu", str(RUNS)]
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve(argv[0], argv, {**ENVIRONMENT, "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"})
        _drain(terminal, time.monotonic() + 3)
        used = _cpu(pid)
        began = time.monotonic()
        _drain(terminal, began + SECONDS)
        share = (_cpu(pid) - used) / (time.monotonic() - began)
        status = Path(f"/proc/{pid}/status").read_text()
        memory = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
        _drain(terminal, time.monotonic() + 60)
        assert os.waitpid(pid, 0)[1] == 0
    return {"8 runs with the live table, % of a core": share * 100, "8 runs with the live table, MiB": memory / 1024}


def _cpu(pid: int) -> float:
    """Seconds of the process itself, without its children."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _drain(terminal: int, until: float) -> None:
    import select

    while (left := until - time.monotonic()) > 0:
        if select.select([terminal], [], [], left)[0]:
            try:
                if not os.read(terminal, 1 << 16):
                    return
            except OSError:  # the other end is closed: the program has ended
                return
