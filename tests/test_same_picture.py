"""Copies of a picture are found, other pictures are not. `-s` shows the figures of docs/judging.md; PICTURES names a
folder of other pictures to try it on."""

from __future__ import annotations

import os
import random
from pathlib import Path

from picture_kit import copied, draw, saved
from PIL import Image

from automate_train.same_picture import Look, look, same


def looks_of(pictures: list[Image.Image], folder: Path) -> list[Look]:
    found = [look(saved(picture, folder / "picture.png")) for picture in pictures]
    return [each for each in found if each is not None]


def test_copies_are_found_and_other_pictures_are_not(tmp_path: Path):
    named = os.environ.get("PICTURES")
    pictures = [Image.open(file).convert("RGB") for file in sorted(Path(named).iterdir())] if named else []
    pictures = pictures or [draw(seed) for seed in range(100)]
    dice = random.Random(0)
    looks = looks_of(pictures, tmp_path)
    assert len(looks) == len(pictures)
    found = wrong = 0
    for number in range(100):
        at = dice.randrange(len(looks))
        (copy,) = looks_of([copied(pictures[at], dice)], tmp_path)
        found += any(match.at == at for match in same(copy, looks))
        others = [each for each in looks if each is not looks[number % len(looks)]]
        wrong += bool(same(looks[number % len(looks)], others))
    print(f"\n{found} of 100 planted copies found; {wrong} of 100 other pictures taken for a copy")
    assert found >= 95 and wrong <= 1


def test_it_does_not_matter_which_of_the_two_is_the_part(tmp_path: Path):
    picture = draw(1)
    whole, part = looks_of([picture, picture.crop((20, 30, 240, 250))], tmp_path)
    assert [match.at for match in same(whole, [part])] == [match.at for match in same(part, [whole])] == [0]
    assert same(whole, [whole])[0].details > 0.999


def test_what_is_no_picture_has_no_look(tmp_path: Path):
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "half.png").write_bytes(saved(draw(2), tmp_path / "whole.png").read_bytes()[:5000])
    black = saved(Image.new("RGB", (64, 64)), tmp_path / "black.png")
    assert [
        look(each) for each in (tmp_path / "text.png", tmp_path / "half.png", tmp_path, tmp_path / "none", black)
    ] == [None] * 5
    assert same(look(tmp_path / "whole.png"), []) == []


def test_every_kind_of_file_has_the_same_look(tmp_path: Path):
    first = look(saved(draw(3), tmp_path / "a.png"))
    for mode, name in (("RGBA", "a.webp"), ("P", "p.png"), ("CMYK", "c.jpg"), ("RGB", "b.bmp")):
        draw(3).convert(mode).save(tmp_path / name)
        assert same(look(tmp_path / name), [first]), name
