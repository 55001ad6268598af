"""The pictures that the tiny trainer's base model has learned from: simple scenes, 48 px, each with its caption.

Covers: a boat, house or cat of one of seven colours, under one of four skies, on one of four grounds, its place,
size and details drawn from the caller's random numbers. `backdrop` is a scene without a subject: the quickstart's
pictures put a subject into it that the base model has never seen. Not: training (`make_base`).
"""

from __future__ import annotations

import random
from typing import NamedTuple

from PIL import Image, ImageDraw

SIDE, FINE, SMALL = 64, 3, 48
"""A scene is laid out on 64 x 64 units, drawn with 3 px for each of them, and scaled down to 48 px."""
Colour = tuple[int, int, int]
COLOURS: dict[str, Colour] = {
    "red": (206, 44, 38), "blue": (42, 84, 200), "green": (46, 150, 62), "yellow": (246, 206, 48),
    "white": (246, 246, 242), "black": (30, 28, 32), "violet": (132, 62, 172),
}  # fmt: skip
SKIES: dict[str, Colour] = {
    "morning": (250, 214, 180), "noon": (140, 200, 246), "evening": (232, 128, 92), "night": (24, 28, 66),
}  # fmt: skip
GROUNDS: dict[str, Colour] = {
    "calm sea": (30, 100, 150), "meadow": (104, 168, 72), "sandy beach": (224, 196, 134), "snow": (232, 238, 246),
}  # fmt: skip
KINDS = {"boat": "sail", "house": "wall", "cat": "fur"}
"""Kind -> the part that has the caption's colour."""
WOOD, ROOF, DOOR, SUN, MOON = (96, 58, 34), (128, 44, 36), (70, 40, 28), (255, 236, 150), (236, 236, 222)


class Place(NamedTuple):
    """Where a subject stands: its middle, its lowest line, and the length of one of its units."""

    x: float
    y: float
    unit: float

    def points(self, *pairs: tuple[float, float]) -> list[tuple[float, float]]:
        """Units from the place (up is positive) -> px of the large drawing."""
        return [((self.x + x * self.unit) * FINE, (self.y - y * self.unit) * FINE) for x, y in pairs]

    def box(self, left: float, top: float, right: float, bottom: float) -> list[tuple[float, float]]:
        corners = self.points((left, top), (right, bottom))
        return [(min(x for x, _ in corners), corners[0][1]), (max(x for x, _ in corners), corners[1][1])]


def backdrop(rng: random.Random, sky: str, ground: str) -> tuple[Image.Image, Place]:
    """Sky and ground, as it is drawn, and a place for a subject."""
    night = sky == "night"
    image = Image.new("RGB", (SIDE * FINE, SIDE * FINE), SKIES[sky])
    draw = ImageDraw.Draw(image)
    frame = Place(0, SIDE, 1)
    x, y, radius = rng.uniform(6, 58), rng.uniform(44, 58), rng.uniform(3, 5)
    if rng.random() < 0.6:
        draw.ellipse(frame.box(x - radius, y + radius, x + radius, y - radius), fill=MOON if night else SUN)
    elif not night:
        for shift in (-4, 0, 4):
            draw.ellipse(frame.box(x + shift - 4, y + 3, x + shift + 4, y - 2), fill=(250, 250, 250))
    horizon = rng.uniform(16, 24)
    shade = tuple(c // 2 for c in GROUNDS[ground]) if night else GROUNDS[ground]
    draw.rectangle(frame.box(0, horizon, SIDE, 0), fill=shade)
    return image, Place(rng.uniform(25, 39), SIDE - horizon + rng.uniform(4, 10), rng.uniform(1.1, 1.45))


def small(image: Image.Image) -> Image.Image:
    return image.resize((SMALL, SMALL), Image.Resampling.BOX)


def scene(rng: random.Random, kind: str, colour: str, sky: str, ground: str) -> Image.Image:
    image, place = backdrop(rng, sky, ground)
    DRAWN[kind](ImageDraw.Draw(image), rng, place, COLOURS[colour])
    return small(image)


def caption(kind: str, colour: str, sky: str, ground: str) -> str:
    return f"{kind}, {colour} {KINDS[kind]}, {sky} sky, {ground}"


def draw_boat(draw: ImageDraw.ImageDraw, rng: random.Random, place: Place, colour: Colour) -> None:
    side, high = rng.choice((-1, 1)), rng.uniform(26, 31)
    draw.polygon(place.points((-14, 6), (14, 6), (9, 0), (-9, 0)), fill=WOOD)
    draw.line(place.points((0, 6), (0, high)), fill=WOOD, width=4)
    draw.polygon(place.points((side * 1.5, 8), (side * 1.5, high), (side * 13, 8)), fill=colour)


def draw_house(draw: ImageDraw.ImageDraw, rng: random.Random, place: Place, colour: Colour) -> None:
    door, high = rng.choice((-1, 1)) * 5, rng.uniform(13, 17)
    draw.rectangle(place.box(-12, high, 12, 0), fill=colour)
    draw.polygon(place.points((-15, high), (15, high), (0, high + 11)), fill=ROOF)
    draw.rectangle(place.box(door - 2.5, 9, door + 2.5, 0), fill=DOOR)
    draw.rectangle(place.box(-door - 3, 10, -door + 3, 5), fill=SUN)


def draw_cat(draw: ImageDraw.ImageDraw, rng: random.Random, place: Place, colour: Colour) -> None:
    tail = rng.choice((-1, 1))
    draw.line(place.points((tail * 6, 2), (tail * 13, 4), (tail * 14, 14)), fill=colour, width=9, joint="curve")
    draw.ellipse(place.box(-9, 17, 9, 0), fill=colour)
    draw.ellipse(place.box(-7.5, 27, 7.5, 13), fill=colour)
    for side in (-1, 1):
        draw.polygon(place.points((side * 7, 21), (side * 6.5, 31), (side * 1, 26)), fill=colour)
        draw.ellipse(place.box(side * 3.2 - 1.4, 22, side * 3.2 + 1.4, 19), fill=COLOURS["yellow"])
        draw.ellipse(place.box(side * 3.2 - 0.6, 21.5, side * 3.2 + 0.6, 19.5), fill=COLOURS["black"])


DRAWN = {"boat": draw_boat, "house": draw_house, "cat": draw_cat}
