"""Sweeps on a real Slurm, while jobs are cancelled, put back, preempted, the orchestrator killed and the controller
restarted; nothing is lost, nothing is done twice. `FAULTS_SEED=n` plays other moments."""

from __future__ import annotations

import contextlib
import json
import os
import random
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import slurm_trainer
from ground import SEED, told
from sd_scripts_kit import make_pictures, make_repo, safetensors
from slurm_kit import GPUS, OneNode, one_node

from automate_train.store.history import Histories
from automate_train.store.journal import open_sweep
from automate_train.trainers import events_of

STATES = "".join(
    f"    parser.add_argument({option})\n"
    for option in ('"--save_state", action="store_true"', '"--resume", type=str', '"--initial_step", type=int',
                   '"--skip_until_initial_step", action="store_true"')
)  # fmt: skip
STEPS = slurm_trainer.EPOCHS * slurm_trainer.BATCHES
BLOWS = ("scancel", "requeue", "preempt", "kill", "controller")


class SlurmGround:
    """A sweep of `runs` fake trainings with states on a Slurm with four GPUs."""

    def __init__(self, folder: Path, node: OneNode, runs: int, seed: int) -> None:
        self.folder, self.node, self.runs, self.random = folder, node, runs, random.Random(seed)
        self.sweep, self.said = folder / "out" / "p", folder / "said.log"
        (folder / "locks").mkdir(parents=True)
        repo = make_repo(folder / "repo", STATES)
        script = repo / "train_network.py"
        source = Path(slurm_trainer.__file__).read_text(encoding="utf-8")
        script.write_text(script.read_text(encoding="utf-8") + "\n\n" + source, encoding="utf-8")
        (folder / "model.safetensors").write_bytes(safetensors({"w": ("F16", b"\0\0")}))
        default = {
            "project_name_base": "p", "temp_dir": "out", "repo_dir": str(repo), "launcher": "python",
            "model_file": str(folder / "model.safetensors"), "images_folder": str(make_pictures(folder / "pictures")),
            "resolution": 64, "network_dim": 1, "epoch_num": slurm_trainer.EPOCHS, "save_state": True,
            "on_failure": "continue", "executor": "slurm", "slurm": {"partition": "low", "gres": "gpu:1"},
            "max_queued": 4,
        }  # fmt: skip
        (folder / "default.json").write_text(json.dumps(default), encoding="utf-8")
        (folder / "tuning.json").write_text(json.dumps({"seed_list": list(range(runs))}), encoding="utf-8")
        self.process: subprocess.Popen[bytes] | None = None
        self.struck: Counter[str] = Counter()

    def start(self) -> subprocess.Popen[bytes]:
        files = ["--default_config_path", "default.json", "--tuning_config_path", "tuning.json"]
        environment = {**os.environ, "FAULT_GROUND": str(self.folder)}
        with self.said.open("ab") as said:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "automate_train", *files, "--cpu", "--plain"], cwd=self.folder, env=environment,
                stdout=said, stderr=said,
            )  # fmt: skip
        return self.process

    def words(self) -> str:
        return self.said.read_text(encoding="utf-8", errors="replace")[-6000:]

    def running(self) -> list[str]:
        return self.node.command("squeue", "-h", "-t", "R", "-p", "low", "-o", "%i").split()

    def strike(self) -> None:
        blow = BLOWS[sum(self.struck.values()) % len(BLOWS)]
        jobs = self.running()
        if blow in ("scancel", "requeue") and jobs:
            self.node.command(*{"scancel": ["scancel"], "requeue": ["scontrol", "requeue"]}[blow],
                              self.random.choice(jobs))  # fmt: skip
        elif blow == "preempt":
            self.node.command("sbatch", "-p", "high", f"--gres=gpu:{self.random.randint(1, GPUS)}", "-o", "/dev/null",
                              "--wrap", "sleep 1")  # fmt: skip
        elif blow == "kill" and self.process is not None:
            self.process.kill()
            self.process.wait()
            time.sleep(self.random.uniform(0, 3))
        elif blow == "controller":
            self.node.restart_controller()
        self.struck[blow] += 1

    def finish(self, tries: int = 8) -> None:
        for _ in range(tries):
            process = self.process if self.process and self.process.poll() is None else self.start()
            code = process.wait(180)
            assert code in (0, 1), self.words()
            if code == 0:
                return
        raise AssertionError(f"not done: {self.words()}")

    def check(self) -> None:
        """Every promise, after the command has said that it is done."""
        assert self.lines("violations") == [], "two live attempts of one run"
        weight = 0
        for step in range(1, STEPS + 1):
            weight = slurm_trainer.changed(weight, step)
        completed = Counter(self.lines("completed"))
        assert len(completed) == self.runs and set(completed.values()) == {1}, "lost, or trained twice"
        assert {line.split()[1] for line in completed} == {str(weight)}, "a step was left out, or done twice"
        for line in self.lines("checkpoints"):
            path, saved = line.rsplit(" ", 1)
            assert f'"weight": "{saved}"'.encode() in Path(path).read_bytes(), "an earlier epoch was overwritten"
        with contextlib.closing(sqlite3.connect(f"file:{self.sweep}/journal.sqlite?mode=ro", uri=True)) as db:
            counts = db.execute("select count(*) from attempt where kind = 'succeeded' group by key").fetchall()
            open_ = db.execute("select count(*) from attempt where kind is null").fetchone()[0]
        assert (len(counts), set(counts), open_) == (self.runs, {(1,)}, 0), "exactly one success a run"
        journal, folder = open_sweep(self.sweep)
        histories = Histories(folder, journal, events_of)
        for record in journal.records():
            history = histories.full(record)
            steps = history.curves["loss"][0]
            assert steps == list(range(1, STEPS + 1)), f"{record.name}: one curve: {steps}"
            epochs = [each.epoch for each in history.checkpoints]
            assert epochs == list(range(1, slurm_trainer.EPOCHS + 1)), f"{record.name}: {epochs}"
        assert "Traceback" not in self.said.read_text(encoding="utf-8", errors="replace")

    def lines(self, name: str) -> list[str]:
        with contextlib.suppress(FileNotFoundError):
            return (self.folder / name).read_text(encoding="utf-8").splitlines()
        return []


@contextlib.contextmanager
def impatient(node: OneNode) -> Iterator[None]:
    """Slurm lets a job that was put back wait for two minutes; here it does not."""
    over = threading.Event()

    def release() -> None:
        while not over.wait(0.5):
            for line in node.command("squeue", "-h", "-t", "PD", "-o", "%i %r").splitlines():
                job, reason = line.split(maxsplit=1)
                if reason == "BeginTime":
                    node.command("scontrol", "update", f"JobId={job}", "StartTime=now")

    thread = threading.Thread(target=release, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(10)


@pytest.mark.parametrize(
    ("runs", "strikes"),
    [pytest.param(6, 5, marks=pytest.mark.slow), pytest.param(12, 60, marks=pytest.mark.faults)],
)
def test_strikes(tmp_path: Path, runs: int, strikes: int):
    began, struck, sweeps = time.monotonic(), Counter[str](), 0
    with one_node() as node, impatient(node):
        while sum(struck.values()) < strikes:
            ground = SlurmGround(tmp_path / str(sweeps), node, runs, SEED + sweeps)
            sweeps += 1
            left = strikes - sum(struck.values())
            while sum(ground.struck.values()) < left:
                if ground.process is None or ground.process.poll() is not None:
                    if ground.process is not None and ground.process.returncode == 0:
                        break
                    ground.start()
                time.sleep(ground.random.uniform(0.3, 2.5))  # the moment is what varies
                ground.strike()
            ground.finish()
            ground.check()
            struck += ground.struck
    told(f"{sum(struck.values())} strikes on Slurm ({', '.join(f'{count} {blow}' for blow, count in struck.items())}) "
         f"over {sweeps} sweeps of {runs} runs, {time.monotonic() - began:.0f} s")  # fmt: skip
