"""Pictures that are none: text, half a file, nothing; told in one line, quickly, however many there are."""

from __future__ import annotations

import io
import time

import pytest
from PIL import Image
from sd_scripts_kit import Bench, make_pictures

from automate_train.trainers.sd_scripts import image_files


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def picture(kind: str) -> bytes:
    file = io.BytesIO()
    Image.effect_noise((40, 40), 50).convert("RGB").save(file, kind)
    return file.getvalue()


KINDS = ("PNG", "JPEG", "WEBP", "BMP", "GIF")


@pytest.mark.parametrize("kind", KINDS)
def test_whole_pictures_are_no_problem_whatever_their_name(bench, kind):
    (bench.pictures / "00.png").write_bytes(picture(kind))
    (bench.pictures / "01.png").write_bytes(picture(kind) + b"\0 and what a phone appends" * 5000)
    assert bench.errors({}) == []


@pytest.mark.parametrize("kind", ("PNG", "JPEG", "WEBP"))
@pytest.mark.parametrize("part", (0.1, 0.5, 0.99))
def test_half_a_picture_is_told(bench, kind, part):
    whole = picture(kind)
    (bench.pictures / "01.png").write_bytes(whole[: int(len(whole) * part)])
    [found] = bench.errors({})
    assert "1 of 3 images" in found and "01.png" in found and "ends too early" in found


def test_the_first_few_are_named_and_all_are_counted(bench):
    make_pictures(bench.pictures, 9)
    for number in range(5):
        (bench.pictures / f"{number:02d}.png").write_bytes(b"<html>not found</html>")
    (bench.pictures / "05.png").write_bytes(b"")
    [found] = bench.errors({})
    assert "6 of 9 images" in found and "00.png" in found and "02.png" in found and "05.png" not in found
    assert "is not a picture" in found


def test_the_search_ends_when_its_time_is_over(bench, monkeypatch):
    make_pictures(bench.pictures, 50)
    monkeypatch.setattr(image_files, "SECONDS", 0.0)
    folder = image_files.listing_now(str(bench.pictures))
    assert folder.broken_images == {}
    monkeypatch.setattr(image_files, "SECONDS", 60.0)
    before = time.monotonic()
    assert image_files.listing_now(str(bench.pictures)).broken_images == {}
    assert time.monotonic() - before < 10
