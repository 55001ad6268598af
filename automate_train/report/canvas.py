"""Pictures in rows and columns with labels, drawn by Pillow.

Covers: layout, fonts that know Korean, Chinese and Japanese where the machine has them, long labels.
Not: which picture goes where (`grid`, `strips`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL import Image

PAPER, INK, FAINT, GAP = (250, 250, 248), (28, 28, 30), (226, 226, 222), 6
FONTS = (
    "NotoSansCJK-Regular.ttc", "NotoSansKR-Regular.otf", "NotoSansJP-Regular.otf", "NanumGothic.ttf", "malgun.ttf",
    "AppleSDGothicNeo.ttc", "msgothic.ttc", "msyh.ttc", "wqy-zenhei.ttc", "wqy-microhei.ttc", "DejaVuSans.ttf",
)  # fmt: skip
"""The first that is there; Pillow looks where the system keeps its fonts."""
MOST_PIXELS = 120_000_000


def font(size: int) -> Any:
    from PIL import ImageFont

    for name in FONTS:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return ImageFont.load_default(size)


def fit(text: str, width: float, face: Any) -> str:
    """The text, shortened in its middle to a width in pixels."""
    text = " ".join(text.split())[:400]
    if face.getlength(text) <= width:
        return text
    low, high = 0, len(text)
    while low < high:
        keep = (low + high + 1) // 2
        shown = f"{text[: (keep + 1) // 2]}…{text[len(text) - keep // 2 :]}"
        low, high = (keep, high) if face.getlength(shown) <= width else (low, keep - 1)
    return f"{text[: (low + 1) // 2]}…{text[len(text) - low // 2 :]}"


def size_of(side: int, columns: int, rows: int, labelled: bool) -> tuple[int, int, int, int]:
    """(width, height, left, top) of the whole for square cells."""
    left = side if labelled else 0
    top = 64
    return left + columns * (side + GAP) + GAP, top + rows * (side + GAP) + GAP, left, top


def draw(
    title: str, columns: Sequence[str], rows: Sequence[str], cells: Sequence[Sequence[Path | str]], side: int
) -> Image.Image:
    """`cells[row][column]`: a picture's file, or words where there is none. Rows without a label take no room for it.
    `ValueError` when the whole would be larger than `MOST_PIXELS`."""
    from PIL import Image, ImageDraw

    width, height, left, top = size_of(side, len(columns), len(rows), any(rows))
    if width * height > MOST_PIXELS:
        raise ValueError(f"{width} x {height} pixels")
    whole = Image.new("RGB", (width, height), PAPER)
    pen, face, small = ImageDraw.Draw(whole), font(16), font(13)
    pen.text((GAP * 2, 18), fit(title, width - GAP * 4, face), INK, font=face, anchor="lm")
    for at, label in enumerate(columns):
        middle = left + GAP + at * (side + GAP) + side // 2
        pen.text((middle, 48), fit(label, side, face), INK, font=face, anchor="mm")
    for down, label in enumerate(rows):
        y = top + down * (side + GAP)
        if label:
            pen.text((left - GAP, y + side // 2), fit(label, left - GAP * 3, face), INK, font=face, anchor="rm")
        for across, cell in enumerate(cells[down]):
            x = left + GAP + across * (side + GAP)
            words = _paste(whole, cell, x, y, side) if isinstance(cell, Path) else cell
            if words:
                pen.rectangle([x, y, x + side, y + side], fill=FAINT)
                shown = fit(words, side - GAP * 2, small)
                pen.text((x + side // 2, y + side // 2), shown, INK, font=small, anchor="mm")
    return whole


def _paste(whole: Image.Image, file: Path, x: int, y: int, side: int) -> str:
    """Words when the picture cannot be shown."""
    from PIL import Image

    from .thumbs import small

    try:
        from io import BytesIO

        with Image.open(BytesIO(small(file, side))) as image:
            whole.paste(image, (x + (side - image.width) // 2, y + (side - image.height) // 2))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return "cannot be read"
    return ""
