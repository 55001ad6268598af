"""The choice of held-out pictures: by content, in proportion, with near-duplicates, and what a restart makes of it.

`-s` shows how many planted near-duplicates are found among 240 pictures of different kinds, and the seconds.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from pathlib import Path

import pytest
from picture_kit import copied, draw, saved
from PIL import Image, ImageDraw, ImageOps

from automate_train.errors import UserError
from automate_train.records import PictureFolder
from automate_train.sweep.held_out import choose, choose_others, copies_of, read, still


def folder_of(path: Path, regular: bool = False) -> PictureFolder:
    return PictureFolder(str(path), {each.name: "" for each in sorted(path.glob("*.*"))}, regular)


@pytest.fixture
def make(tmp_path):
    def make(name: str, seeds: range) -> Path:
        folder = tmp_path / name
        folder.mkdir(parents=True, exist_ok=True)
        for seed in seeds:
            saved(draw(seed, 96), folder / f"{seed:03d}.png")
        return folder

    return make


def names(held_out, why="chosen"):
    return sorted(os.path.basename(each.path) for each in held_out.pictures if each.why.startswith(why))


def test_it_goes_by_content_and_not_by_names_or_order(make, tmp_path):
    first = choose(4, [folder_of(make("a", range(8))), folder_of(make("b", range(8, 20)))])
    other = tmp_path / "z"
    for number in range(20):
        folder = other / ("y" if number < 8 else "x")
        folder.mkdir(parents=True, exist_ok=True)
        saved(draw(number, 96), folder / f"{97 - number}.png")
    second = choose(4, [folder_of(other / "x"), folder_of(other / "y")])
    assert {each.sha256 for each in first.pictures} == {each.sha256 for each in second.pictures}
    assert first.digest == second.digest and len(first.chosen) == 4 and first.of == second.of == 20
    assert first != choose(5, [folder_of(tmp_path / "a"), folder_of(tmp_path / "b")])


@pytest.mark.parametrize(
    ("request_", "expected"), [(4, [2, 1, 1]), (0.2, [2, 1, 1]), (1, [1]), (0.01, [1]), (10, [5, 3, 2])]
)
def test_each_folder_gives_its_share(make, request_, expected):
    folders = [
        folder_of(make("a", range(10))),
        folder_of(make("b", range(10, 16))),
        folder_of(make("c", range(16, 20))),
    ]
    found = Counter(each.subset for each in choose(request_, folders).chosen)
    assert sorted(found.values(), reverse=True) == expected


def test_a_folder_that_two_subsets_read_counts_once(make, tmp_path):
    folder = make("a", range(6))
    (tmp_path / "link").symlink_to(folder)
    held_out = choose(2, [folder_of(folder), folder_of(tmp_path / "link")])
    assert held_out.of == 6 and len(held_out.pictures) == 2
    assert all(each.path.startswith(str(folder)) for each in held_out.pictures)


def test_a_picture_with_near_duplicates_is_chosen_last_and_takes_them_along(make):
    dice, folder = random.Random(1), make("a", range(4))
    for seed in range(3):
        copied(draw(seed, 96), dice).save(folder / f"copy-{seed}.jpg")
    held_out = choose(1, [folder_of(folder)])
    assert names(held_out) == ["003.png"] and len(held_out.pictures) == 1
    held_out = choose(2, [folder_of(folder)])
    (other,) = set(names(held_out)) - {"003.png"}
    (copy,) = names(held_out, "near-duplicate of ")
    assert {other.split(".")[0].lstrip("0") or "0", copy.split(".")[0].lstrip("0") or "0"} in (
        {"0", "copy-0"}, {"1", "copy-1"}, {"2", "copy-2"},
    )  # fmt: skip
    assert next(each.why for each in held_out.pictures if each.why != "chosen") == f"near-duplicate of {other}"


def test_a_path_that_is_not_in_utf_8_is_not_chosen(make, tmp_path):
    """Its scores could not be written down."""
    folder = make("a", range(6))
    for number in range(3):
        (folder / f"{number:03d}.png").rename(folder / os.fsdecode(b"\xb9\xe8%d.png" % number))
    assert names(choose(3, [folder_of(folder)])) == ["003.png", "004.png", "005.png"]
    with pytest.raises(UserError, match=r"only 3 of 4 .*not in UTF-8"):
        choose(4, [folder_of(folder)])
    others = choose_others("a", [folder_of(folder)], [folder_of(make("b", range(10, 14)))])
    assert names(others) == ["003.png", "004.png", "005.png"]


def test_the_same_file_in_another_folder_is_held_out_too(make):
    """Also of one colour, where only the bytes can tell; such a picture is not chosen itself."""
    a, b = make("a", range(3)), make("b", range(3, 6))
    for folder in (a, b):
        saved(Image.new("RGB", (64, 64), "navy"), folder / "navy.png")
        saved(draw(50, 96), folder / f"of-{folder.name}.png")
    held_out = choose(5, [folder_of(a), folder_of(b)])
    assert "navy.png" not in [os.path.basename(each.path) for each in held_out.pictures]
    assert not names(held_out, "near") and not {"of-a.png", "of-b.png"} & set(names(held_out))


def test_regularization_pictures_stay_and_what_they_show_is_not_chosen(make):
    train, regular = make("a", range(3)), make("reg", range(2))
    held_out = choose(1, [folder_of(train), folder_of(regular, regular=True)])
    assert names(held_out) == ["002.png"] and held_out.of == 3
    with pytest.raises(UserError, match="only 1 of 2 pictures can be held out"):
        choose(2, [folder_of(train), folder_of(regular, regular=True)])


def test_no_folder_is_left_empty(make):
    folders = [folder_of(make("a", range(1))), folder_of(make("b", range(1, 3)))]
    assert names(choose(1, folders))[0] in ("001.png", "002.png")
    with pytest.raises(UserError, match="only 1 of 2"):
        choose(2, folders)
    with pytest.raises(UserError, match="3 of 3 pictures are to be held out: none would be left to train on"):
        choose(3, folders)


def test_two_pictures_of_one_name_have_two_names(make, tmp_path):
    for name in ("x/a", "x/b", "y/b"):
        make(name, range(0))
    saved(draw(1, 96), tmp_path / "x/a/0.png")
    saved(draw(2, 96), tmp_path / "x/b/0.png")
    saved(draw(3, 96), tmp_path / "y/b/0.png")
    for number, name in enumerate(("x/a", "x/b", "y/b")):
        saved(draw(10 + number, 96), tmp_path / name / "1.png")
    held_out = choose(3, [folder_of(tmp_path / name) for name in ("x/a", "x/b", "y/b")])
    assert len({each.name for each in held_out.pictures}) == 3


def test_a_folder_of_others_takes_near_duplicates_from_the_runs(make, tmp_path):
    train, others = make("a", range(5)), make("others", range(20, 23))
    ImageOps.mirror(draw(2, 96)).save(others / "seen.jpg")
    held_out = choose_others(str(others), [folder_of(others)], [folder_of(train)])
    assert names(held_out) == ["020.png", "021.png", "022.png", "seen.jpg"] and held_out.of == 5
    assert names(held_out, "near-duplicate of seen.jpg") == ["002.png"]
    with pytest.raises(UserError, match="none is left to train on"):
        choose_others(str(train), [folder_of(train)], [folder_of(train)])


def test_a_restart_keeps_the_choice_and_finds_new_near_duplicates(make):
    folder = make("a", range(6))
    known = choose(2, [folder_of(folder)])
    assert still(known, [folder_of(folder)]) == (known, [])
    make("a", range(30, 34))
    chosen = Path(known.chosen[0].path)
    copied(Image.open(chosen).convert("RGB"), random.Random(5)).save(folder / "new.jpg")
    now, said = still(known, [folder_of(folder)])
    assert said == [] and now.chosen == known.chosen and now.digest == known.digest
    assert names(now, "near-duplicate of ") == ["new.jpg"]
    assert still(now, [folder_of(folder)]) == (now, [])


def test_a_held_out_picture_that_is_gone_or_changed_is_told_and_never_trained_on(make):
    folder = make("a", range(6))
    known = choose(2, [folder_of(folder)])
    moved, changed = (Path(each.path) for each in known.chosen)
    moved.rename(folder / "renamed.png")
    saved(draw(99, 96), changed)
    now, said = still(known, [folder_of(folder)])
    assert len(said) == 2 and f"{moved} is gone" in said[0] and f"{changed} has changed" in said[1]
    assert {str(folder / "renamed.png"), str(changed)} <= {each.path for each in now.pictures}


def scene(seed: int, side: int) -> Image.Image:
    """Flat drawings that have much in common: the same boat under the same sky, as in a set of one subject."""
    dice = random.Random(seed)
    image = Image.new("RGB", (side, side), (150, 205, 245))
    pen, sea = ImageDraw.Draw(image), side * dice.uniform(0.55, 0.75)
    pen.rectangle([0, sea, side, side], fill=(30, 96, 130))
    for _ in range(3):
        x, y, size = dice.uniform(0, 0.9) * side, dice.uniform(0, 0.5) * side, dice.uniform(0.05, 0.2) * side
        pen.ellipse([x, y, x + 2 * size, y + size], fill=(245, 245, 250))
    x, size = dice.uniform(0.2, 0.8) * side, dice.uniform(0.15, 0.3) * side
    pen.polygon([(x - size, sea), (x + size, sea), (x, sea + size / 2)], fill=(92, 58, 36))
    pen.polygon([(x, sea), (x, sea - 2 * size), (x - size, sea)], fill=dice.choice(["red", "gold", "white", "purple"]))
    return image


def test_planted_near_duplicates_are_found_and_other_pictures_are_not(tmp_path):
    """Of 160 pictures 80 have a copy. Photographs: none is like another. Drawings of the same few flat shapes in other
    places: a part of one may look like another; where it does, a picture is kept from the runs for nothing."""
    dice, copies = random.Random(0), {}
    for number in range(160):
        side = dice.choice((96, 256, 384))
        picture = draw(number, side) if number % 2 else scene(number, side)
        saved(picture, tmp_path / f"{number:03d}.png")
        if number < 80:
            copies[f"{number:03d}.png"] = f"{number:03d}.jpg"
            copied(picture, dice).save(tmp_path / copies[f"{number:03d}.png"])
    began = time.monotonic()
    pictures = read([folder_of(tmp_path)])
    looked = time.monotonic()
    found: Counter[str] = Counter()
    false: Counter[str] = Counter()
    for picture in pictures:
        name = os.path.basename(picture.path)
        if name in copies:
            matches = {os.path.basename(each.path) for each in copies_of(picture, pictures)}
            kind = "photographs" if int(name[:3]) % 2 else "drawings"
            found[kind] += copies[name] in matches
            false[kind] += bool(matches - {copies[name]})
    compared = time.monotonic() - looked
    print(f"\nof 40 each: found {dict(found)}, with a false one {dict(false)}; "
          f"{looked - began:.1f} s to look at {len(pictures)}, {compared:.1f} s for 80 comparisons")  # fmt: skip
    assert len(pictures) == 240 and min(found.values()) >= 38
    assert false["photographs"] == 0 and false["drawings"] <= 16
