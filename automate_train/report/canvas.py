"""Pictures in rows and columns with labels, drawn by Pillow.

Covers: the layout, fonts with Korean, Chinese and Japanese where the machine has them, long labels.
Not: which picture goes where (`grid`, `strips`).
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
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


def load_font(size: int) -> Font:
    from PIL import ImageFont  # optional, and 15 ms

    for name in FONTS:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return ImageFont.load_default(size)


def fit(text: str, width: float, font: Font) -> str:
    """The text, shortened in its middle to a width in pixels."""
    text = " ".join(text.split())[:400]
    if font.getlength(text) <= width:
        return text
    low, high = 0, len(text)
    while low < high:
        keep = (low + high + 1) // 2
        low, high = (keep, high) if font.getlength(_without_middle(text, keep)) <= width else (low, keep - 1)
    return _without_middle(text, low)


def _without_middle(text: str, keep: int) -> str:
    return f"{text[: (keep + 1) // 2]}…{text[len(text) - keep // 2 :]}"


def wrap(text: str, width: float, font: Font, lines: int) -> str:
    """The text in at most so many lines, the last one shortened; broken between words, or (Japanese) anywhere."""
    rest = " ".join(text.split())[:400]
    wrapped: list[str] = []
    while rest and len(wrapped) < lines - 1 and font.getlength(rest) > width:
        end = next(end for end in range(len(rest), 0, -1) if end == 1 or font.getlength(rest[:end]) <= width)
        space = rest.rfind(" ", 1, end + 1)
        end = space if space > end // 2 else end
        wrapped.append(rest[:end].strip())
        rest = rest[end:].strip()
    return "\n".join([*wrapped, fit(rest, width, font)])


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

    cell_width, cell_height = cell_size(cells, side)
    left, top = (max(cell_width, 150) if any(rows) else 0), 64
    width = left + len(columns) * (cell_width + GAP) + GAP
    height = top + len(rows) * (cell_height + GAP) + GAP
    if width * height > MOST_PIXELS:
        raise ValueError(f"{width} x {height} pixels")
    table = Image.new("RGB", (width, height), PAPER)
    pen, font, small_font = ImageDraw.Draw(table), load_font(16), load_font(13)
    pen.text((GAP * 2, 18), fit(title, width - GAP * 4, font), INK, font=font, anchor="lm")
    for column, label in enumerate(columns):
        middle = left + GAP + column * (cell_width + GAP) + cell_width // 2
        pen.text((middle, 48), fit(label, cell_width, font), INK, font=font, anchor="mm")
    for row, label in enumerate(rows):
        y = top + row * (cell_height + GAP)
        if label:
            lines = wrap(label, left - GAP * 3, font, max(1, min(6, cell_height // 22)))
            pen.multiline_text((left - GAP, y + cell_height // 2), lines, INK, font=font, anchor="rm", align="right")
        for column, cell in enumerate(cells[row]):
            x = left + GAP + column * (cell_width + GAP)
            if isinstance(cell, Path) and _paste(table, cell, x, y, cell_width, cell_height):
                continue
            words = "cannot be read" if isinstance(cell, Path) else cell
            if words:
                pen.rectangle([x, y, x + cell_width - 1, y + cell_height - 1], fill=FAINT)
                center = (x + cell_width // 2, y + cell_height // 2)
                pen.text(center, fit(words, cell_width - GAP * 2, small_font), INK, font=small_font, anchor="mm")
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
