"""Whether two files show the same picture: cropped, mirrored, scaled, saved again as JPEG, a little brighter or darker.

Covers: comparing by content, in two steps. First, small views of one picture (parts of it, each also mirrored) are
compared with the whole other one, all at once. Then the few best are laid over each other as exactly as they can be;
those that agree in their colours *and* in their details are the same. Not: pictures of the same thing.

numpy and Pillow (extra `judge`); no state, no files of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter, ImageOps

Floats = NDArray[np.float32]
Box = tuple[float, float, float, float]
"""Left, top, width, height, as shares of the picture."""

SIDE, DETAIL, COARSE = 96, 32, 8
"""Pixels: of the copy that is kept, of what is compared at last, of what is compared first."""
BLUR = 4
"""Pixels of `DETAIL`: what is coarser is no detail."""
KEEPS = (1.0, 11 / 12, 10 / 12, 9 / 12)
"""The share of each side that a crop may have kept, to begin with; then it is moved, down to `LEAST`."""
LEAST = 0.7
LIKELY = 0.7
"""Correlation of the small views from which two pictures are laid over each other: copies have 0.75 and more."""
SAME_COLOURS, SAME_DETAILS = 0.96, 0.92
"""Correlations from which two pictures are the same; measured in docs/judging.md."""
MOST_PIXELS = 100_000_000

VIEWS: list[Box] = [
    (x / 12, y / 12, keep, keep) for keep in KEEPS for x, y in product(range(round((1 - keep) * 12) + 1), repeat=2)
]
MOVES = [
    tuple(sign * each for each in move)
    for move in ((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1), (1, 0, -1, 0), (0, 1, 0, -1))
    for sign in (1, -1)
]


class Look(NamedTuple):
    """What is kept of a picture, about 110 kB."""

    sides: tuple[Image.Image, Image.Image]
    """As it is, and mirrored; SIDE x SIDE pixels."""
    views: Floats
    """(2 x VIEWS, 3 x COARSE x COARSE): each of length 1."""


class Match(NamedTuple):
    at: int
    """Position among the pictures that were asked about."""
    details: float
    """Correlation of the details, at least `SAME_DETAILS`."""


def look(file: str | Path) -> Look | None:
    """None for what is no picture, and for a picture of one colour, which looks like every other one."""
    try:
        with Image.open(file) as opened:
            if opened.width * opened.height > MOST_PIXELS:
                return None
            opened.draft("RGB", (2 * SIDE, 2 * SIDE))
            small = opened.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    if np.asarray(small, np.float32).std(axis=(0, 1)).max() < 3.0:
        return None
    sides = (small, ImageOps.mirror(small))
    return Look(sides, np.stack([_unit(_pixels(side, COARSE, box)) for side in sides for box in VIEWS]))


def same(one: Look, others: Sequence[Look], most: int = 3) -> list[Match]:
    """Those of the others that show the same picture, the most alike first. `most`: how many of them are looked at
    closely."""
    if not others:
        return []
    whole = one.views[0]
    forward = [float((other.views @ whole).max()) for other in others]
    backward = one.views @ np.stack([other.views[0] for other in others]).T
    coarse = np.maximum(forward, backward.max(axis=0))
    likely = [at for at in np.argsort(-coarse, kind="stable")[:most] if coarse[at] >= LIKELY]
    found = [Match(int(at), max(_details(one, others[at]), _details(others[at], one))) for at in likely]
    return sorted((match for match in found if match.details >= SAME_DETAILS), key=lambda match: -match.details)


def _details(part: Look, whole: Look) -> float:
    """How exactly `part` is a part of `whole`: the correlation of their details, 0 where their colours differ."""
    side, view = divmod(int((whole.views @ part.views[0]).argmax()), len(VIEWS))
    wanted, image = _compared(part.sides[0], VIEWS[0]), whole.sides[side]
    box = VIEWS[view]
    best = _agreement(image, box, wanted)
    for step in (1 / 24, 1 / 48, 1 / 96, 1 / 192):
        moved = True
        while moved:
            moved = False
            for move in MOVES:
                near = (
                    box[0] + step * move[0],
                    box[1] + step * move[1],
                    box[2] + step * move[2],
                    box[3] + step * move[3],
                )
                if _inside(near) and sum(there := _agreement(image, near, wanted)) > sum(best) + 1e-4:
                    best, box, moved = there, near, True
    return best[1] if best[0] >= SAME_COLOURS else 0.0


def _inside(box: Box) -> bool:
    x, y, width, height = box
    return min(x, y) >= 0 and min(width, height) >= LEAST and x + width <= 1 and y + height <= 1


def _compared(image: Image.Image, box: Box) -> tuple[Floats, Floats]:
    """A part of a picture as two vectors of length 1: all but its mean, and its details alone."""
    pixels = _pixels(image, DETAIL, box)
    small = Image.fromarray(pixels.astype(np.uint8)).filter(ImageFilter.BoxBlur(BLUR))
    return _unit(pixels), _unit(pixels - np.asarray(small, np.float32), centre=False)


def _agreement(image: Image.Image, box: Box, wanted: tuple[Floats, Floats]) -> tuple[float, float]:
    colours, details = _compared(image, box)
    return float(colours @ wanted[0]), float(details @ wanted[1])


def _pixels(image: Image.Image, side: int, box: Box) -> Floats:
    x, y, width, height = (each * SIDE for each in box)
    corners = (x, y, min(x + width, SIDE), min(y + height, SIDE))
    return np.asarray(image.resize((side, side), Image.Resampling.BILINEAR, box=corners), np.float32)


def _unit(pixels: Any, centre: bool = True) -> Floats:
    """One vector of length 1; of length 0 where there is nothing."""
    flat = (pixels - pixels.mean() if centre else pixels).reshape(-1)
    length = np.linalg.norm(flat)
    return np.asarray(flat / length if length > 1.0 else flat * 0.0, np.float32)
