"""The ground on which the faults happen: a sweep of fake trainers in a folder, and what must be true in the end."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from sd_scripts_kit import make_pictures, make_repo, safetensors

from automate_train.machine import processes

TRAINER = (Path(__file__).parent / "trainer.py").read_text(encoding="utf-8")
SEED = int(os.environ.get("FAULTS_SEED", "4"))


class Ground:
    """`runs` fake trainings, four at a time. Everything that runs here bears a mark in its environment."""

    def __init__(self, folder: Path, runs: int, seed: int, temp_dir: Path | None = None) -> None:
        self.folder, self.runs, self.random = folder, runs, random.Random(seed)
        self.mark = uuid.uuid4().hex
        self.sweep = (temp_dir or folder / "out") / "p"
        self.target = folder / "loras"
        folder.mkdir(parents=True, exist_ok=True)
        repo = make_repo(folder / "repo")
        script = repo / "train_network.py"
        script.write_text(script.read_text(encoding="utf-8") + "\n\n" + TRAINER, encoding="utf-8")
        (folder / "model.safetensors").write_bytes(safetensors({"w": ("F16", b"\0\0")}))
        default = {
            "project_name_base": "p", "temp_dir": str(self.sweep.parent), "target_path": str(self.target),
            "repo_dir": str(repo), "model_file": str(folder / "model.safetensors"), "resolution": 64,
            "images_folder": str(make_pictures(folder / "pictures")), "launcher": "python", "network_dim": 1,
            "epoch_num": 1, "on_failure": "continue",
        }  # fmt: skip
        (folder / "default.json").write_text(json.dumps(default), encoding="utf-8")
        (folder / "tuning.json").write_text(json.dumps({"seed_list": list(range(runs))}), encoding="utf-8")
        (folder / "locks").mkdir()
        self.said = folder / "said.log"
        self.kills = self.starts = 0

    @property
    def argv(self) -> list[str]:
        files = ["--default_config_path", "default.json", "--tuning_config_path", "tuning.json"]
        return [sys.executable, "-m", "automate_train", *files, "--cpu", "4", "--plain"]

    def start(self, **options: object) -> subprocess.Popen[bytes]:
        self.starts += 1
        environment = {**os.environ, "FAULT_GROUND": str(self.folder), "FAULT_MARK": self.mark}
        with self.said.open("ab") as said:
            return subprocess.Popen(
                self.argv, cwd=self.folder, env=environment, stdout=said, stderr=said, start_new_session=True, **options
            )

    def finish(self, allowed: tuple[int, ...] = (0,), tries: int = 1) -> None:
        """The same command until nothing is left."""
        for _ in range(tries):
            code = self.start().wait(120)
            assert code in (0, *allowed), self.words()
            if code == 0:
                return
        raise AssertionError(f"not done after {tries} more tries: {self.words()}")

    def strike(self, longest: float, number: int = signal.SIGKILL, *more: int, least: float = 0.02) -> int | None:
        """Start it and send signals at a random moment; its exit code, None when all was done before. A signal that a
        program can catch comes after its first word: before that, Python itself is not there to catch it."""
        silence = self.said.stat().st_size if self.said.exists() else 0
        process = self.start()
        if number != signal.SIGKILL:
            until(lambda: self.said.stat().st_size > silence or process.poll() is not None, 30, self.words)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(self.random.uniform(least, longest))
        if process.poll() is not None:
            assert process.returncode == 0, self.words()
            return None
        for each in (number, *more):
            process.send_signal(each)
            self.kills += 1
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(self.random.uniform(0, 0.1) if more else 60)
        code = process.wait(60)
        if code == 0:  # in its last moment: nothing was left that could be stopped
            assert f"{self.runs} succeeded" in self.said.read_bytes()[silence:].decode(errors="replace"), self.words()
            return None
        return code

    # what is true

    def marked(self) -> Iterator[int]:
        """Every living process that bears our mark."""
        for name in filter(str.isdecimal, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                if self.mark.encode() in Path(f"/proc/{name}/environ").read_bytes():
                    yield int(name)

    def trainers(self) -> list[tuple[int, int, Path]]:
        """(shell's pid, trainer's pid or 0, attempt) of what runs now."""
        found = []
        for pid, environment in processes.with_variable("AUTOMATE_TRAIN_ATTEMPT", 0):
            with contextlib.suppress(OSError):
                if environment.get("FAULT_MARK") == self.mark and os.getpgid(pid) == pid:
                    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
                    found.append((pid, int((*children, "0")[0]), Path(environment["AUTOMATE_TRAIN_ATTEMPT"])))
        return found

    def lines(self, name: str) -> list[str]:
        with contextlib.suppress(FileNotFoundError):
            return (self.folder / name).read_text(encoding="utf-8").splitlines()
        return []

    def words(self) -> str:
        return self.said.read_text(encoding="utf-8", errors="replace")[-4000:]

    def check(self, *, each_trained_once: bool = True) -> None:
        """Every promise, after the command has said that it is done."""
        until(lambda: not list(self.marked()), 5, lambda: f"orphans: {list(self.marked())}")
        assert self.lines("violations") == [], "two live attempts of one run"
        trained = Counter(self.lines("completed"))
        assert len(trained) == self.runs, "a run that never trained to its end"
        assert not each_trained_once or set(trained.values()) == {1}, "trained twice"
        with contextlib.closing(sqlite3.connect(f"file:{self.sweep}/journal.sqlite?mode=ro", uri=True)) as db:
            counts = db.execute("select count(*) from attempt where kind = 'succeeded' group by key").fetchall()
            open_ = db.execute("select count(*) from attempt where kind is null").fetchone()[0]
            saved = {path for (path,) in db.execute("select path from checkpoint")}
        assert (len(counts), set(counts), open_) == (self.runs, {(1,)}, 0), "exactly one success a run"
        whole = [path for path in self.sweep.glob("*/attempt-*/output/*.safetensors") if path.stat().st_size > 4096]
        by_name: dict[str, list[bytes]] = {}
        for path in whole:
            by_name.setdefault(path.name, []).append(path.read_bytes())
        assert len(by_name) == self.runs and {str(path) for path in whole} >= saved
        delivered = {path.name: path.read_bytes() for path in self.target.glob("*.safetensors")}
        assert delivered.keys() == by_name.keys(), "a checkpoint that was not delivered"
        assert all(data in by_name[name] for name, data in delivered.items())
        assert not [path for path in self.target.iterdir() if path.name.startswith(".")], "half a copy"
        said = self.said.read_text(encoding="utf-8", errors="replace")
        assert "Traceback" not in said, said[said.index("Traceback") - 500 :][:6000]


def until(fact: Callable[[], object], seconds: float, words: Callable[[], str]) -> None:
    deadline = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < deadline, words()
        time.sleep(0.02)


def told(figures: str) -> None:
    """One line for docs/reliability.md; `make faults` shows it."""
    print(f"figures: {figures}")
