"""The table and its JSON, whatever a trainer's process has told."""

from __future__ import annotations

import csv
import json
import os
import threading
import time
from pathlib import Path

import pytest
from display_kit import Sweep

from automate_train.config.masking import Masker
from automate_train.display import status, summary, watch
from automate_train.display.results import write_results
from automate_train.executors.local import Local
from automate_train.machine import lock
from automate_train.records import Resume
from automate_train.report.assemble import write_page
from automate_train.store.history import Histories
from automate_train.trainers import events_of


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    return Sweep(tmp_path)


def test_the_table(sweep: Sweep):
    sweep.run(0, kind="succeeded", steps=24, loss=0.25, seconds=61.25)
    sweep.run(1, kind="failed", reason="out of memory", steps=3, loss=float("nan"), seconds=2.0)
    sweep.run(
        2, '{"at": 1, "kind": "training", "total_steps": 24}', '{"at": 2, "kind": "metrics", "step": 7, "loss": 0.5}'
    )
    sweep.journal.add_waiting([sweep.record(3)])
    sweep.journal.note(
        waiting={"k3": "GPU 0 is taken"}, samples={"left": 2, "done": 4, "servers": {"http://x": "gone"}}
    )
    with lock.held(sweep.folder.lock):
        table = list(status.lines(sweep.journal, sweep.folder))
    (held,) = [line for line in table if line.startswith("run by")]
    assert held.startswith(f"run by pid {os.getpid()} on {os.uname().nodename} since 20")
    table.remove(held)
    assert table == [
        "  run  id  name       state              step       loss   seconds",
        "    0  k0  p_lr=0e-4  succeeded            24       0.25      61.2",
        "    1  k1  p_lr=1e-4  failed                3        nan       2.0",
        "    2  k2  p_lr=2e-4  running            7/24        0.5",
        "    3  k3  p_lr=3e-4  waiting",
        "1 succeeded, 1 failed, 1 running, 1 waiting",
        "samples: 4 done, 2 to come",
        "samples: http://x: gone",
        f"run 1: out of memory\n      log: {sweep.folder.path}/001-p_lr-1e-4/attempt-1/console.log",
        "run 3 waiting: GPU 0 is taken",
    ]


def test_runs_that_are_no_longer_part_of_the_sweep_are_shown_apart(sweep: Sweep):
    """A list was made longer, or a constant changed: they have an id, and no index."""
    sweep.run(0, kind="failed", reason="old", steps=1)
    sweep.run(1, kind="succeeded", steps=24)
    sweep.journal.set_sweep([sweep.record(1)._replace(index=0, number=0)])
    sweep.journal.add_waiting([sweep.record(7)._replace(index=1, number=1)])
    assert list(status.lines(sweep.journal, sweep.folder)) == [
        "  run  id  name       state              step       loss   seconds",
        "    0  k1  p_lr=1e-4  succeeded            24",
        "    1  k7  p_lr=7e-4  waiting",
        "1 succeeded, 1 waiting",
        "\nno longer part of the sweep, whose configs have changed since:",
        "  run  id  name       state              step       loss   seconds",
        "       k0  p_lr=0e-4  failed                1",
    ]
    rows = list(csv.DictReader(write_results(sweep.journal, sweep.folder).open()))
    assert [(row["index"], row["id"]) for row in rows] == [("0", "k1"), ("1", "k7"), ("", "k0")]


def test_nobody_runs_the_sweep_any_more(sweep: Sweep, tmp_path: Path, monkeypatch):
    """Its process was killed: whether a trainer still lives, and what to type. It was called running for ever."""
    sweep.journal.note(state="running", command=["--tuning_config_path", "t.json"], cwd=str(tmp_path))
    sweep.run(0)
    living = sweep.run(1)
    path = os.path.realpath(sweep.folder.attempt(living.folder).path)
    monkeypatch.setattr(Local, "living", lambda self, sweep, left_behind=(): {path: "77 0 boot host"})
    table = list(status.lines(sweep.journal, sweep.folder))
    assert "1 ended, 1 running" in table and "run 0 ended: how it ended is read when the sweep goes on" in table
    assert "run 1 running: its trainer goes on without the sweep (pid 77)" in table
    (typed,) = [line for line in table if line.startswith("nobody runs it now; it goes on with:\n")]
    assert typed.split("\n")[1].startswith(f"  cd {tmp_path} && ") and typed.endswith(" --tuning_config_path t.json")


def test_a_resumed_run_is_one_row_from_its_first_step_on(sweep: Sweep):
    sweep.run(0, kind="lost", steps=15, total_steps=24, loss=0.5, seconds=10.0)
    sweep.run(0, resume=Resume("/state", 12, 12))
    with lock.held(sweep.folder.lock):
        (run,) = status.as_json(sweep.journal, sweep.folder)["runs"]
    shown = {name: run[name] for name in ("state", "attempt", "resumed_from", "step", "total_steps", "seconds")}
    assert shown == {
        "state": "running", "attempt": 2, "resumed_from": 12, "step": 12, "total_steps": 24, "seconds": 10.0,
    }  # fmt: skip
    (newest,) = sweep.journal.open_attempts()
    sweep.folder.attempt(newest.folder).events.write_text('{"at": 9, "kind": "metrics", "step": 3, "loss": 0.5}\n')
    assert status.as_json(sweep.journal, sweep.folder)["runs"][0]["step"] == 15


def test_samples_that_nobody_makes_any_more_are_missing(sweep: Sweep):
    sweep.journal.note(samples={"left": 2, "done": 4})
    assert "samples: 4 done, 2 missing" in list(summary.lines(sweep.folder, sweep.journal, 1.0, [], None, 0, Masker()))


VALUES = ["NaN", "-Infinity", "1e999", "123456789012345678", "-1", "1.5", "true", "null", '"x"', "[1]", '{"a": 1e999}',
          '"\\u001b[2J\\n\\u0000"', '"' + "x" * 100_000 + '"']  # fmt: skip
FIELDS = ("step", "loss", "average", "nan", "epoch", "epochs", "total_steps", "path", "which", "error", "where", "lr",
          "other", "peak_memory", "size", "inf", "tensors", "name", "tag", "mine",
          "epoch_loss", "epoch_nan_steps")  # fmt: skip


def test_nothing_that_is_told_breaks_what_is_shown(sweep: Sweep):
    """Every field with every kind of value, in every kind of event: one line of it made a whole page fail."""
    kinds = ("training", "metrics", "checkpoint", "trouble", "end", "picture", "tracker", "new")
    lines = [
        f'{{"at": {at}, "kind": "{kind}", "step": {at}, "epoch": 1, "{field}": {value}}}'
        for kind in kinds
        for at, (field, value) in enumerate((field, value) for field in FIELDS for value in VALUES)
    ]
    sweep.run(0, *lines)
    sweep.run(1, *lines, kind="failed", steps=1, seconds=1.0)
    json.dumps(status.as_json(sweep.journal, sweep.folder), allow_nan=False)
    with lock.held(sweep.folder.lock):
        table = "\n".join(line for line in status.lines(sweep.journal, sweep.folder) if not line.startswith("run by"))
    assert "\x1b" not in table and len(table.splitlines()) == 6
    write_results(sweep.journal, sweep.folder)
    for record in sweep.journal.records():
        history = Histories(sweep.folder, sweep.journal, events_of).full(record)
        json.dumps([history.curves, history.progress.epoch_loss, history.memory, history.epoch_ends], allow_nan=False)
        assert history.progress.trouble.isprintable()
    write_page(sweep.folder)


def test_watching_ends_with_the_sweep(sweep: Sweep, capsys: pytest.CaptureFixture[str], monkeypatch):
    monkeypatch.setattr(watch, "INTERVAL", 0.02)
    attempt = sweep.run(0, '{"at": 2, "kind": "metrics", "step": 7, "loss": 0.5}')
    with lock.held(sweep.folder.lock):
        codes: list[int] = []
        watching = threading.Thread(target=lambda: codes.append(watch.watch(str(sweep.folder.path))))
        watching.start()
        time.sleep(0.1)
        with sweep.folder.attempt(attempt.folder).events.open("a") as out:
            out.write('{"at": 3, "kind": "metrics", "step": 8, "loss": 0.5}\n')
        time.sleep(0.2)
        assert watching.is_alive()
        sweep.run(1, kind="failed")
    watching.join(10)
    said = capsys.readouterr().out
    tables = [" ".join(table.split()) for table in said.split("\n\n")]
    assert codes == [1] and "running 7 0.5" in tables[0] and "running 8 0.5" in tables[1], "once for each change"
    assert said.endswith("console.log\n\n")
