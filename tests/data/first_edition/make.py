"""Makes the sweep beside this file again, with the first edition (version 0.1.0, commit efee9a8).

    git worktree add /tmp/checkout efee9a8
    python make.py /tmp/checkout FOLDER

As root (the machine is to be called `example`), with a Python that has torch and accelerate; half a minute. It trains
in /tmp/first-edition-demo with /tmp/automate-train-0.1.0 and copies what is needed to FOLDER.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
import zipfile
from collections.abc import Callable
from contextlib import closing
from itertools import product
from pathlib import Path
from typing import Any

HOME, PROGRAM, PORT = Path("/tmp/first-edition-demo"), Path("/tmp/automate-train-0.1.0"), 47860
PYTHON = PROGRAM / "venv/bin/python"
SWEEP = HOME / "out/boats"
DEFAULT = """\
{
    // A sweep of four tiny trainings, to be continued by later editions.
    "project_name_base": "boats",
    "repo_dir": "tiny",
    "launcher": "python",
    "images_folder": "images",
    "caption_extension": ".txt",
    "num_repeats": 2,
    "resolution": 32,
    "network_dim": 1, "network_alpha": 1, "network_train_text_encoder_only": true, "save_precision": "fp16",
    "optimizer": "SGD", // all this for small files
    "epoch_num": 3,
    "train_batch_size": 1,
    "max_data_loader_n_workers": 0,
    "persistent_data_loader_workers": false,
    "mixed_precision": "no",
    "seed": 42,
    "save_state": true,
    "use_external_webui": true,
    "webui_url": "http://127.0.0.1:47860",
    "prompt_path": "prompts.json",
    "sample_opt": "epoch",
    "sample_num": 1,
    "log_with": null,
    "temp_dir": "out",
    "target_path": "loras",
}
"""
TUNING = """\
{
    "text_encoder_lr_list": [3.0, 30.0],
    "lr_scheduler_list": ["constant", "cosine"],
}
"""
PROMPTS = """\
{
    "width": 64, "height": 64, "steps": 2,
    "prompts": [
        {"prompt": "tinyboat, red sail, noon sky", "seed": 7, "baseline": true},
        {"prompt": "tinyboat, white sail, night sky"}
    ]
}
"""
RUNS = [
    f"{number:03d}-boats_text_encoder_lr-{lr}_lr_scheduler-{shape}"
    for number, (lr, shape) in enumerate(product(("3.0", "30.0"), ("constant", "cosine")))
]


started: list[subprocess.Popen[bytes]] = []


def make_ground(checkout: Path) -> None:
    """Program, interpreter and config files, all in places that say nothing of the machine."""
    for folder in (HOME, PROGRAM):
        folder.mkdir()
    shutil.copytree(checkout / "automate_train", PROGRAM / "automate_train", ignore=shutil.ignore_patterns("*.pyc"))
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", PROGRAM / "venv"], check=True)
    import torch

    packages = next(PROGRAM.glob("venv/lib/python3*/site-packages"))
    packages.rmdir()
    packages.symlink_to(Path(torch.__file__).parents[1])
    for name, text in (("default.json", DEFAULT), ("tuning.json", TUNING), ("prompts.json", PROMPTS)):
        (HOME / name).write_text(text)
    (HOME / "images").mkdir()
    for number in range(4):
        for ending in ("png", "txt"):
            shutil.copy(checkout / f"configs/quickstart/images/{number:02d}.{ending}", HOME / "images")


def sweep(*flags: str) -> subprocess.Popen[bytes]:
    files = ["--default_config_path", "default.json", "--tuning_config_path", "tuning.json"]
    command = [str(PYTHON), "-m", "automate_train", *files, "--cpu", "1", "--plain", *flags]
    environment = {**os.environ, "PYTHONPATH": str(PROGRAM), "PYTHONDONTWRITEBYTECODE": "1"}
    started.append(subprocess.Popen(command, cwd=HOME, env=environment))
    return started[-1]


def until(wanted: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 60
    while not (found := wanted()):
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.0005)
    return found


def read(file: Path) -> str:
    return file.read_text() if file.exists() else ""


def rows(query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(f"file:{SWEEP}/journal.sqlite?mode=ro", uri=True)) as db:
        return db.execute(query).fetchall()


def set_webui(**settings: Any) -> None:
    body = json.dumps({"set": settings}).encode()
    urllib.request.urlopen(f"http://127.0.0.1:{PORT}/_control", body).read()


def make_sweep() -> None:
    run, attempt = SWEEP / RUNS[1], SWEEP / RUNS[0] / "attempt-1"
    # 1. A picture is broken: run 2 fails at its first step.
    broken = HOME / "images/02.png"
    whole = broken.read_bytes()
    broken.write_bytes(whole[:200])
    assert sweep("--only", "2").wait() == 1
    broken.write_bytes(whole)
    # 2. Run 0 is trained and sampled; run 1, sampler and orchestrator are killed after run 1's first epoch.
    orchestrator = sweep()
    group = int(until(lambda: read(run / "attempt-1/pid")))
    os.killpg(group, signal.SIGSTOP)
    until(lambda: len([*attempt.glob("output/sample/*.json")]) == 6 and [*SWEEP.glob("baseline/*.json")])
    set_webui(seconds=600.0)  # from here on no picture is finished
    os.killpg(group, signal.SIGCONT)
    until(lambda: any(map(zipfile.is_zipfile, run.glob("attempt-1/output/*-000001-state/random_states_0.pkl"))))
    os.killpg(group, signal.SIGSTOP)
    assert not [*run.glob("attempt-1/output/*-000002*")], "too late: once more"
    orchestrator.kill()
    os.kill(json.loads((SWEEP / "sampler.lock").read_text())["pid"], signal.SIGKILL)
    os.killpg(group, signal.SIGKILL)
    assert orchestrator.wait() == -signal.SIGKILL
    # 3. Run 1 goes on. Ctrl-C: nothing more starts; once more: its samples are left for later.
    orchestrator = sweep()
    until(lambda: read(run / "attempt-2/pid"))
    orchestrator.send_signal(signal.SIGINT)
    until(lambda: read(run / "attempt-2/exit_code"))
    until(lambda: rows("select 1 from attempt where number = 2 and kind = 'succeeded'"))
    until(lambda: '"left": 6' in str(rows("select value from note where name = 'samples'")))
    orchestrator.send_signal(signal.SIGINT)
    assert orchestrator.wait() == 130
    assert not rows("select 1 from sample_lora union select 1 from sample_task"), "something is left on the server"


def tidy() -> None:
    """What no continuing needs, and what would tell of the machine."""
    for folder in SWEEP.glob("*/attempt-*/hook"):
        shutil.rmtree(folder)
    for folder in SWEEP.glob(f"{RUNS[0]}/attempt-1/output/*-state"):
        shutil.rmtree(folder)
    for folder in SWEEP.glob(f"{RUNS[1]}/attempt-2/output/*-state"):
        shutil.rmtree(folder)
    with closing(sqlite3.connect(SWEEP / "journal.sqlite", isolation_level=None)) as db:
        for (text,) in db.execute("select value from note where name = 'provenance'").fetchall():
            told = {**json.loads(text), "platform": "Linux-x86_64", "cores": 2}
            db.execute("update note set value = ? where name = 'provenance'", (json.dumps(told),))
        db.execute("vacuum")
        db.execute("pragma wal_checkpoint(truncate)")
    (SWEEP / "report.html").unlink()
    shutil.rmtree(HOME / "loras/grid_samples")


def main(checkout: Path, target: Path) -> None:
    make_ground(checkout)
    command = [sys.executable, f"{checkout}/tests/fakes/fake_webui", "--state", f"{PROGRAM}/webui", "--port", str(PORT)]
    server = subprocess.Popen([*command, "--seconds", "0.01", "--last-sleep", "0.1"], stdout=subprocess.PIPE)
    try:
        assert server.stdout is not None and json.loads(server.stdout.readline())["port"] == PORT
        make_sweep()
    finally:
        for process in [*started, server]:
            process.kill()
            process.wait()
    tidy()
    shutil.copytree(HOME, target, dirs_exist_ok=True)


if __name__ == "__main__":
    if os.uname().nodename != "example":
        named = ["sh", "-c", 'hostname example && exec "$@"', "sh", sys.executable, *sys.argv]
        os.execvp("unshare", ["unshare", "--uts", *named])
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve())
