"""Draw the quickstart's pictures: twenty times a tinyboat, 48 px, each with a caption beside it.

    python configs/quickstart/make_images.py [FOLDER]

A tinyboat has two striped sails, a flag and a blue hull with a yellow line: the tiny trainer's base model knows boats
with one plain sail, and has never seen this one. Here it is always on a calm sea, by day; the prompts ask for others.
Covers: `images/00.png` .. `19.png` and `.txt`, the same pixels at every call. Not: other subjects.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

from PIL import Image, ImageDraw

from automate_train.trainers.tiny import scenes

COUNT, SKIES = 20, ("morning", "noon", "evening")
SEED = 5
"""With it no two are the same picture by `automate_train.same_picture`, so that each can be held out alone."""
HULL, LINE, STRIPE, CLOTH, MAST = (26, 58, 128), (250, 210, 60), (214, 40, 40), (250, 250, 246), (60, 40, 30)


def picture(rng: random.Random, sky: str) -> Image.Image:
    """A tinyboat under that sky; its place, size and heading are drawn from `rng`."""
    image, place = scenes.backdrop(rng, sky, "calm sea")
    place = place._replace(x=rng.uniform(19, 45), unit=rng.uniform(0.85, 1.35))
    draw = ImageDraw.Draw(image)
    heading, high = rng.choice((-1, 1)), rng.uniform(29, 33)
    draw.polygon(place.points((-16, 8), (16, 8), (11, 0), (-11, 0)), fill=HULL)
    draw.line(place.points((-14, 5.5), (14, 5.5)), fill=LINE, width=8)
    draw.line(place.points((0, 8), (0, high + 3)), fill=MAST, width=6)
    draw.polygon(place.points((0, high + 3), (0, high - 1), (-heading * 6, high + 1)), fill=LINE)
    for side, foot, top in ((heading, 15, high - 2), (-heading, 9, high - 6)):
        low, bands = 10, 5
        for band in range(bands):
            ends = [low + (top - low) * (band + more) / bands for more in (0, 1)]
            widths = [foot * (1 - (end - low) / (top - low)) for end in ends]
            corners = [(1, ends[0]), (1 + widths[0], ends[0]), (1 + widths[1], ends[1]), (1, ends[1])]
            draw.polygon(place.points(*((side * x, y) for x, y in corners)), fill=(STRIPE, CLOTH)[band % 2])
    return scenes.small(image)


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(SEED)
    for number in range(COUNT):
        sky = SKIES[number % len(SKIES)]
        picture(rng, sky).save(folder / f"{number:02d}.png", optimize=True)
        (folder / f"{number:02d}.txt").write_text(f"tinyboat, {sky} sky, calm sea\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "images")
