"""Draw the quickstart's pictures: twelve little boats, 64 px, each with a caption beside it.

    python configs/quickstart/make_images.py [FOLDER]

Covers: `images/00.png` .. `11.png` and `.txt`, the same bytes at every call. Not: anything that training needs to be
fun; the point is a set that is ours, small, and whose colours a tiny network can learn to tell apart.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

from PIL import Image, ImageDraw

SIZE = 64
SAILS = {"red": (214, 60, 48), "yellow": (240, 190, 40), "white": (250, 250, 245), "violet": (120, 70, 170)}
SKIES = {"morning": (250, 214, 180), "noon": (150, 205, 245), "night": (28, 32, 70)}
SEA, HULL, SUN, MOON = (30, 96, 130), (92, 58, 36), (255, 232, 150), (235, 235, 220)


def picture(rng: random.Random, sail: str, sky: str) -> Image.Image:
    """A boat with a sail of that colour under a sky of that hour; the place of boat and sun is drawn from `rng`."""
    image = Image.new("RGB", (SIZE, SIZE), SKIES[sky])
    draw = ImageDraw.Draw(image)
    x, sea = 32 + rng.randint(-5, 5), 42 + rng.randint(-2, 2)
    lamp = rng.randint(6, 14)
    draw.ellipse([50, lamp, 58, lamp + 8], fill=MOON if sky == "night" else SUN)
    draw.rectangle([0, sea, SIZE, SIZE], fill=tuple(c // 2 for c in SEA) if sky == "night" else SEA)
    draw.polygon([(x - 14, sea - 2), (x + 16, sea - 2), (x + 9, sea + 6), (x - 9, sea + 6)], fill=HULL)
    draw.line([(x, sea - 2), (x, sea - 30)], fill=HULL, width=2)
    draw.polygon([(x - 2, sea - 5), (x - 2, sea - 29), (x - 15, sea - 5)], fill=SAILS[sail])
    draw.polygon([(x + 3, sea - 5), (x + 3, sea - 26), (x + 13, sea - 5)], fill=SAILS[sail])
    return image


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(0)
    pairs = [(sail, sky) for sky in SKIES for sail in SAILS]
    for number, (sail, sky) in enumerate(pairs):
        picture(rng, sail, sky).save(folder / f"{number:02d}.png", optimize=True)
        (folder / f"{number:02d}.txt").write_text(f"tinyboat, {sail} sail, {sky} sky, calm sea\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "images")
