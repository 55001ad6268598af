"""The report of a sweep that is training: what is made when, and that the sweep never waits for a disk."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest
from report_kit import Sweep, data_of

from automate_train.records import SweepContext
from automate_train.report import worker
from automate_train.report.worker import ReportWorker, write_or_explain
from automate_train.training.signals import StopSignals


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    made = Sweep(tmp_path, unet_lr=["1e-4", "2e-4"])
    for run in made.runs():
        made.begin(run, epochs=1)
    return made


def test_provenance_is_written_at_the_start_and_shown_by_the_page(sweep: Sweep, tmp_path: Path):
    config = tmp_path / "default.json"
    config.write_text('{"wandb_api_key": "topsecret", "unet_lr": 1e-4}')
    context = SweepContext(str(tmp_path), "boats", command=("--cpu",), config_files={"default file": str(config)})
    reports = ReportWorker(sweep.folder)
    reports.begin(context, {}, ["a GPU"])
    page = reports.finish(StopSignals())
    assert page == sweep.path / "report.html"
    shown = data_of(page)["provenance"]
    assert shown == json.loads((sweep.path / "provenance.json").read_text())
    assert shown["gpus"] == ["a GPU"] and shown["files"][0]["text"].startswith('{"wandb_api_key": "***"')


def test_provenance_of_the_first_edition_is_in_the_journal(sweep: Sweep):
    sweep.journal.note(provenance={"machine": "old"})
    assert data_of(sweep.build().path)["provenance"] == {"machine": "old"}


def test_a_page_is_made_while_runs_train_but_seldom(sweep: Sweep, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(worker, "SECONDS_BETWEEN_PAGES", 0.0)
    reports = ReportWorker(sweep.folder)
    page = sweep.path / "report.html"
    reports.update(news=False)
    time.sleep(0.3)
    assert not page.exists()
    reports.update(news=True)
    deadline = time.monotonic() + 20
    while not page.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert reports.finish(StopSignals()) == page
    monkeypatch.setattr(worker, "SECONDS_BETWEEN_PAGES", 60.0)
    page.unlink()
    reports.update(news=True)
    time.sleep(0.3)
    assert not page.exists()


@pytest.mark.parametrize("ctrl_c", [False, True])
def test_a_disk_that_hangs_does_not_keep_the_command(sweep: Sweep, monkeypatch: pytest.MonkeyPatch, ctrl_c: bool):
    free = threading.Event()
    monkeypatch.setattr(worker, "write_or_explain", lambda folder: free.wait(30) and None)
    monkeypatch.setattr(worker, "LAST_PAGE_SECONDS", 30.0 if ctrl_c else 0.3)
    if ctrl_c:
        threading.Timer(0.3, os.kill, [os.getpid(), signal.SIGINT]).start()
    began = time.monotonic()
    with StopSignals() as stop:
        assert ReportWorker(sweep.folder).finish(stop) is None
    assert time.monotonic() - began < 5
    free.set()


def test_an_error_in_the_report_is_kept_and_does_not_end_the_sweep(tmp_path: Path):
    sweep = Sweep(tmp_path)
    sweep.journal.close()
    assert write_or_explain(sweep.folder) == sweep.path / "report.html"
    sweep.folder.journal.write_bytes(b"no database" * 100)
    for wal in sweep.path.glob("journal.sqlite-*"):
        wal.unlink()
    assert write_or_explain(sweep.folder) is None
    assert "cannot be read" in (sweep.path / "report-error.txt").read_text()
