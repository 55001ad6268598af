"""Pictures in rows and columns with labels, drawn by Pillow.

Covers: the layout, fonts with Korean, Chinese and Japanese where the machine has them; labels are never cut.
Not: which picture goes where (`grid`, `strips`).
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

from .thumbs import shrink

if TYPE_CHECKING:
    from PIL import Image, ImageFont

    Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

PAPER, INK, FAINT, GAP = (250, 250, 248), (28, 28, 30), (226, 226, 222), 6
FONTS = (
    "NotoSansCJK-Regular.ttc", "NotoSansKR-Regular.otf", "NotoSansJP-Regular.otf", "NanumGothic.ttf", "malgun.ttf",
    "AppleSDGothicNeo.ttc", "msgothic.ttc", "msyh.ttc", "wqy-zenhei.ttc", "wqy-microhei.ttc", "DejaVuSans.ttf",
)  # fmt: skip
"""The first that the system has is used; Pillow knows where systems keep their fonts."""
MOST_PIXELS = 120_000_000
SPACING = 4
"""Pixels between two lines."""
WIDEST_WORD = 240
"""Pixels: columns are as wide as the longest word of their labels, but not for a path."""


def load_font(size: int) -> Font:
    from PIL import ImageFont  # optional, and 15 ms

    for name in FONTS:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return ImageFont.load_default(size)


def wrap(text: str, width: float, font: Font) -> str:
    """The whole text in lines of a width in pixels; broken between words, or (a path, Japanese) anywhere."""
    rest = " ".join(text.split())
    lines = []
    while font.getlength(rest) > width:
        end = next(end for end in range(len(rest), 0, -1) if end == 1 or font.getlength(rest[:end]) <= width)
        space = rest.rfind(" ", 1, end + 1)
        end = space if space > 0 else end
        if end == len(rest):  # one letter, wider than the room
            break
        lines.append(rest[:end].strip())
        rest = rest[end:].strip()
    return "\n".join([*lines, rest])


def _height(text: str, font: Font) -> int:
    """As Pillow draws it."""
    return (text.count("\n") + 1) * (ceil(font.getbbox("A")[3]) + SPACING) if text else 0


def cell_size(cells: Sequence[Sequence[Path | str]], side: int) -> tuple[int, int]:
    """Width and height that hold every picture when its longer side is at most `side`; small ones are not enlarged."""
    from PIL import Image  # optional, and 15 ms

    width = height = min(side, 96)
    for file in (cell for row in cells for cell in row if isinstance(cell, Path)):
        try:
            with Image.open(file) as image:
                scale = min(1.0, side / max(image.size))
                width, height = max(width, round(image.width * scale)), max(height, round(image.height * scale))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            continue
    return width, height


def draw_table(
    title: str, columns: Sequence[str], rows: Sequence[str], cells: Sequence[Sequence[Path | str]], side: int
) -> Image.Image:
    """`columns`, `rows`: labels; when no row has one, they take no room. `cells[row][column]`: a picture's file, or
    words where there is none. `ValueError` when the whole would be larger than `MOST_PIXELS`."""
    from PIL import Image, ImageDraw  # optional, and 15 ms

    font, small_font = load_font(16), load_font(13)
    cell_width, cell_height = cell_size(cells, side)
    words = (word for label in columns for word in label.split())
    cell_width = max(cell_width, *(min(WIDEST_WORD, ceil(font.getlength(word))) for word in words), 1)
    left = max(cell_width, 150) if any(rows) else 0
    heads = [wrap(label, cell_width, font) for label in columns]
    sides = [wrap(label, left - GAP * 3, font) if left else "" for label in rows]
    width = left + len(columns) * (cell_width + GAP) + GAP
    title = wrap(title, width - GAP * 4, font)
    title_height = GAP * 2 + _height(title, font)
    top = title_height + GAP + max((_height(label, font) for label in heads), default=0) + GAP
    heights = [max(cell_height, _height(label, font)) + GAP for label in sides]
    height = top + sum(heights) + GAP
    if width * height > MOST_PIXELS:
        raise ValueError(f"{width} x {height} pixels")
    table = Image.new("RGB", (width, height), PAPER)
    pen = ImageDraw.Draw(table)

    def write(text: str, at: tuple[float, float], font: Font, anchor: str) -> None:
        align = {"l": "left", "m": "center", "r": "right"}[anchor[0]]
        pen.multiline_text(at, text, INK, font=font, anchor=anchor, align=align, spacing=SPACING)

    write(title, (GAP * 2, GAP + title_height // 2), font, "lm")
    for column, label in enumerate(heads):
        write(
            label, (left + GAP + column * (cell_width + GAP) + cell_width // 2, (title_height + top) // 2), font, "mm"
        )
    y = top
    for row, label in enumerate(sides):
        if label:
            write(label, (left - GAP, y + (heights[row] - GAP) // 2), font, "rm")
        for column, cell in enumerate(cells[row]):
            x = left + GAP + column * (cell_width + GAP)
            if isinstance(cell, Path) and _paste(table, cell, x, y, cell_width, cell_height):
                continue
            if said := "cannot be read" if isinstance(cell, Path) else cell:
                pen.rectangle([x, y, x + cell_width - 1, y + cell_height - 1], fill=FAINT)
                said = wrap(said, cell_width - GAP * 2, small_font)
                write(said, (x + cell_width // 2, y + cell_height // 2), small_font, "mm")
        y += heights[row]
    return table


def _paste(table: Image.Image, file: Path, x: int, y: int, width: int, height: int) -> bool:
    """Whether the picture could be read and is in its cell now."""
    from PIL import Image  # optional, and 15 ms

    try:
        with Image.open(BytesIO(shrink(file, max(width, height)))) as image:
            table.paste(image, (x + (width - image.width) // 2, y + (height - image.height) // 2))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False
    return True
