"""Pictures for the tests of copies: drawn at random, and what becomes of one that a LoRA has learned by heart."""

from __future__ import annotations

import random
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageOps


def draw(seed: int, side: int = 256) -> Image.Image:
    """Clouds of colour at every scale, as in photographs, behind a few shapes. Other seeds are other pictures."""
    dice, pens = np.random.default_rng(seed), random.Random(seed)
    pixels = np.full((side, side, 3), 128.0)
    for octave in range(2, 8):
        noise = Image.fromarray(dice.integers(0, 256, (2**octave, 2**octave, 3), np.uint8))
        pixels += (np.asarray(noise.resize((side, side), Image.Resampling.BICUBIC)) - 127.5) * 2.0 / octave
    image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
    pen = ImageDraw.Draw(image)
    for _ in range(pens.randint(2, 5)):
        x, y, size = pens.uniform(0, 0.8), pens.uniform(0, 0.8), pens.uniform(0.1, 0.4)
        box = [side * x, side * y, side * (x + size), side * (y + size * pens.uniform(0.5, 1.5))]
        colour = tuple(pens.randrange(256) for _ in range(3))
        (pen.ellipse if pens.random() < 0.5 else pen.rectangle)(box, fill=colour)
    return image


def copied(image: Image.Image, dice: random.Random) -> Image.Image:
    """Cropped to at least three quarters of each side, mirrored or not, scaled, +-10 luma, saved as JPEG."""
    width, height = image.size
    keep = dice.uniform(0.75, 1.0)
    wide, high = round(width * keep), round(height * min(1.0, max(0.75, keep + dice.uniform(-0.08, 0.08))))
    x, y = dice.randint(0, width - wide), dice.randint(0, height - high)
    part = image.crop((x, y, x + wide, y + high))
    if dice.random() < 0.5:
        part = ImageOps.mirror(part)
    side, luma = dice.choice((64, 96, 128, 200)), dice.randint(-10, 10)
    part = part.resize((side, side), Image.Resampling.BICUBIC).point(lambda value: max(0, min(255, value + luma)))
    file = BytesIO()
    part.save(file, "JPEG", quality=dice.randint(40, 95))
    return Image.open(file)


def saved(image: Image.Image, file: Path) -> Path:
    image.convert("RGB").save(file)
    return file
