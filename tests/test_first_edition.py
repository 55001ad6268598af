"""A sweep that the first edition made (tests/data/first_edition): this edition shows, reports, samples and continues
it.

Run 0 succeeded and is sampled; run 1 was cut off, went on from a state and succeeded, and its pictures are missing;
run 2 failed; run 3 never began.
"""

from __future__ import annotations

import csv
import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import webui_kit

MADE_IN, WEBUI = "/tmp/first-edition-demo", "http://127.0.0.1:47860"
FLAGS = ["--default_config_path", "default.json", "--tuning_config_path", "tuning.json", "--cpu", "1"]
TEXTS = (".json", ".jsonl", ".toml", ".log", ".csv")


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """A copy whose absolute paths lead into itself."""
    shutil.copytree(Path(__file__).parent / "data/first_edition", tmp_path / "demo")
    replace(tmp_path / "demo", MADE_IN, str(tmp_path / "demo"))
    return tmp_path / "demo"


def replace(folder: Path, old: str, new: str) -> None:
    for file in folder.rglob("*"):
        if file.suffix in TEXTS:
            file.write_text(file.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    columns = {"note": "value", "run": "options", "attempt": "facts", "checkpoint": "path"}
    with closing(sqlite3.connect(folder / "out/boats/journal.sqlite")) as db:
        for table, column in columns.items():
            db.execute(f"update {table} set {column} = replace({column}, ?, ?)", (old, new))
        db.commit()


def status(automate_train: Callable[..., Any], sweep: Path) -> list[dict[str, Any]]:
    done = automate_train("status", "out", "--json", cwd=sweep)
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout)["runs"])


def test_status_shows_it_and_changes_nothing(automate_train, sweep: Path):
    journal = (sweep / "out/boats/journal.sqlite").read_bytes()
    runs = status(automate_train, sweep)
    assert [run["state"] for run in runs] == ["succeeded", "succeeded", "failed", "waiting"]
    assert [run["step"] for run in runs] == [24, 24, 0, None]
    assert [run["seconds"] for run in runs] == [2.366, 1.594 + 2.241, 1.259, None]
    assert [len(run["checkpoints"]) for run in runs] == [3, 3, 0, 0]
    assert [run["resumed_from"] for run in runs] == [0, 8, 0, 0]
    assert (sweep / "out/boats/journal.sqlite").read_bytes() == journal


def test_report_shows_it(automate_train, sweep: Path):
    done = automate_train("report", "out", cwd=sweep)
    assert done.returncode == 0 and "4 runs, 7 pictures" in done.stdout, done.stdout + done.stderr


@pytest.mark.slow
def test_sample_makes_what_is_missing(automate_train, sweep: Path, tmp_path: Path):
    with webui_kit.running(tmp_path / "server", seconds=0.01) as double:
        replace(sweep, WEBUI, double.url)
        done = automate_train("sample", "out", cwd=sweep)
        assert done.returncode == 0, done.stdout + done.stderr
        log = double.log()
    pictures = sorted((sweep / "out/boats").glob("*/attempt-*/output/sample/*.json"))
    assert len(pictures) == 2 * 3 * 2, "runs x epochs x prompts: of the resumed run those of both attempts"
    told = [json.loads(picture.read_text()) for picture in pictures]
    assert {each["state"] for each in told} == {"done"}
    assert {each["seed"] for each in told if each["prompt"] == 1} == {2080502769}, "the seed that was drawn once"
    assert log["files"] == [] and {each["lora"][:12] for each in told} == {"at-5cb53af3-"}


@pytest.mark.slow
def test_the_sweeps_own_command_continues_it(automate_train, sweep: Path, tmp_path: Path):
    before = {path: path.stat().st_mtime_ns for path in (sweep / "out/boats").glob("*/attempt-*/exit_code")}
    with webui_kit.running(tmp_path / "server", seconds=0.01) as double:
        replace(sweep, WEBUI, double.url)
        done = automate_train(*FLAGS, cwd=sweep)
        assert done.returncode == 0, done.stdout + done.stderr
    runs = status(automate_train, sweep)
    assert [run["state"] for run in runs] == ["succeeded"] * 4 and [run["attempt"] for run in runs] == [1, 2, 2, 1]
    assert {path: path.stat().st_mtime_ns for path in before} == before, "nothing was trained twice"
    with (sweep / "out/boats/results.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["steps"] for row in rows] == ["24"] * 4 and float(rows[1]["seconds"]) == pytest.approx(3.835)
    assert len(list((sweep / "out/boats").glob("*/attempt-*/output/sample/*.json"))) == 4 * 3 * 2
    assert json.loads((sweep / "out/boats/sweep.json").read_text())["sweep_id"] == "5cb53af3"
    assert "cannot" not in done.stdout and (sweep / "out/boats/report.html").exists()
