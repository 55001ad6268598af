"""Files that anybody may have changed: one bad line or value never costs the page of the sweep."""

from __future__ import annotations

import json
import os
from pathlib import Path

from report_kit import Sweep, data_of, unpacked

from automate_train.report.assemble import write_page
from automate_train.report.marks import read_marks
from automate_train.store.journal import Journal

VALUES = ["NaN", "-Infinity", "1e999", "123456789012345678901234567890", "1" + "0" * 400, "-1", "1.5", "true", "null",
          '"x"', "[1, NaN]", '{"a": 1e999}', '"\\u001b[2J\\n\\u0000"']  # fmt: skip


def strict(text: str) -> object:
    """JSON as browsers read it."""
    return json.loads(text, parse_constant=lambda name: 1 / 0)


def test_every_bad_event_line(tmp_path: Path):
    sweep = Sweep(tmp_path)
    (run,) = sweep.runs()
    attempt = sweep.begin(run, steps=5)
    lines = [
        f'{{"at": 9, "kind": "{kind}", "path": "/x/a.safetensors", "{field}": {value}}}\n'
        for kind in ("training", "metrics", "checkpoint", "end")
        for field in ("at", "step", "epoch", "loss", "average", "nan", "lr", "other", "path", "total_steps")
        for value in VALUES
    ]
    with (attempt / "events.jsonl").open("a") as out:
        out.writelines(lines)
    page = sweep.build().path
    assert data_of(page)["runs"][0]["state"] == "succeeded"
    assert unpacked(page, "curves")[0]["loss"][0][:5] == [1, 2, 3, 4, 5]


def test_every_bad_field_of_a_sample(tmp_path: Path):
    sweep = Sweep(tmp_path)
    (run,) = sweep.runs()
    attempt = sweep.begin(run, epochs=1)
    samples = attempt / "output" / "sample"
    (good,) = samples.glob("*.json")
    fields = json.loads(good.read_text())
    for at, (field, value) in enumerate((field, value) for field in fields for value in VALUES):
        text = json.dumps({**fields, field: "HERE"}).replace('"HERE"', value)
        (samples / f"bad-{at:03d}.json").write_text(text)
    os.link(samples / good.with_suffix(".png").name, os.fsencode(samples) + b"/\xff_e000001_00_20260101000000.png")
    page = sweep.build().path
    assert data_of(page)["runs"][0]["pictures"]["state"]
    assert unpacked(page, "details-0")
    for part in page.read_text().split('id="packed-details')[1:]:
        assert "NaN" not in part.partition(">")[2].partition("<")[0]
    sweep.build()  # and from what was kept of the first time


def test_bad_values_beside_the_runs(tmp_path: Path):
    sweep = Sweep(tmp_path)
    (run,) = sweep.runs()
    sweep.begin(run)
    sweep.journal.note(waiting=["not", "a", "mapping"], command={"not": "a list"})
    sweep.folder.provenance.write_text('{"at": NaN, "cores": 1e999, "gpus": 3}')
    marks = tmp_path / "marks.json"
    marks.write_text('{"marks": [{"id": "00000000", "star": true, "at": NaN, "epoch": 1e999, "note": "\\ud800"}]}')
    page = write_page(sweep.folder, marks=read_marks(marks)).path
    assert data_of(page)["marks"][0]["at"] is None and data_of(page)["provenance"]["at"] is None


def test_nan_steps_are_counted_over_all_attempts(tmp_path: Path):
    """Attempt 2 trains again what came after step 16: attempt 1's NaN of step 20 is not in the run any more."""
    sweep = Sweep(tmp_path)
    (run,) = sweep.runs()
    first = sweep.begin(run, steps=24, end="failed")
    with (first / "events.jsonl").open("a") as out:
        out.writelines(f'{{"at": 9, "kind": "metrics", "step": {step}, "nan": true}}\n' for step in (8, 9, 20))
    assert data_of(sweep.build().path)["runs"][0]["nan_steps"] == 3
    second = sweep.begin(run, steps=24, resumed_at=16)
    with (second / "events.jsonl").open("a") as out:
        out.write('{"at": 9, "kind": "metrics", "step": 1, "loss": NaN}\n')
    assert data_of(sweep.build().path)["runs"][0]["nan_steps"] == 3
    assert Journal(sweep.folder.journal, read_only=True)
