"""Thumbnails: made once, removed when nothing shows them, missing ones replaced by the originals."""

from __future__ import annotations

import os
from pathlib import Path

from report_kit import Sweep, data_of


def test_thumbnails_of_pictures_that_are_gone_go_too(tmp_path: Path):
    sweep = Sweep(tmp_path)
    (run,) = sweep.runs()
    attempt = sweep.begin(run, epochs=2)
    thumbs = sweep.path / "report_files" / "thumbs"
    sweep.build()
    assert len(list(thumbs.iterdir())) == 2
    for name in ("x-000001_00.png", "x-000001_00.json"):
        (attempt / "output" / "sample" / name).unlink()
    sweep.build()
    assert len(list(thumbs.iterdir())) == 2  # so young that another report may just have made it
    for thumb in thumbs.iterdir():
        os.utime(thumb, (1.0, 1.0))
    sweep.build()
    assert len(list(thumbs.iterdir())) == 1


def test_without_time_for_thumbnails_the_originals_are_shown(tmp_path: Path):
    sweep = Sweep(tmp_path)
    (run,) = sweep.runs()
    attempt = sweep.begin(run, epochs=1)
    (attempt / "output" / "sample" / "x-000001_00.png").rename(attempt / "output" / "sample" / "x #1.png")
    json_ = attempt / "output" / "sample" / "x-000001_00.json"
    json_.write_text(json_.read_text().replace("x-000001_00.png", "x #1.png"))
    built = sweep.build(seconds=-1)
    (shown,) = data_of(built.path)["runs"][0]["pictures"]["thumb"]
    assert built.thumbs == 0 and shown.endswith("/output/sample/x%20%231.png")


def test_a_broken_picture_gets_no_thumbnail(tmp_path: Path):
    sweep = Sweep(tmp_path)
    (run,) = sweep.runs()
    attempt = sweep.begin(run, epochs=2)
    file = attempt / "output" / "sample" / "x-000001_00.png"
    file.unlink()
    file.write_bytes(b"no picture")
    built = sweep.build()
    assert (built.pictures, built.thumbs) == (2, 1)
