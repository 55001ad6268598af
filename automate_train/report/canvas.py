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


def wrap(text: str, width: float, face: Any, lines: int) -> str:
    """The text in at most so many lines, the last one shortened; broken between words, else (Japanese) anywhere."""
    rest = " ".join(text.split())[:400]
    found: list[str] = []
    while rest and len(found) < lines - 1 and face.getlength(rest) > width:
        end = next(end for end in range(len(rest), 0, -1) if end == 1 or face.getlength(rest[:end]) <= width)
        space = rest.rfind(" ", 1, end + 1)
        end = space if space > end // 2 else end
        found.append(rest[:end].strip())
        rest = rest[end:].strip()
    return "\n".join([*found, fit(rest, width, face)])


def cell_size(cells: Sequence[Sequence[Path | str]], side: int) -> tuple[int, int]:
    """What holds every picture when its longer side is at most `side`; small ones are not blown up."""
    from PIL import Image

    width = height = min(side, 96)
    for file in (cell for row in cells for cell in row if isinstance(cell, Path)):
        try:
            with Image.open(file) as image:
                scale = min(1.0, side / max(image.size))
                width, height = max(width, round(image.width * scale)), max(height, round(image.height * scale))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            continue
    return width, height


def draw(
    title: str, columns: Sequence[str], rows: Sequence[str], cells: Sequence[Sequence[Path | str]], side: int
) -> Image.Image:
    """`cells[row][column]`: a picture's file, or words where there is none. Rows without a label take no room for it.
    `ValueError` when the whole would be larger than `MOST_PIXELS`."""
    from PIL import Image, ImageDraw

    wide, high = cell_size(cells, side)
    left, top = (max(wide, 150) if any(rows) else 0), 64
    width, height = left + len(columns) * (wide + GAP) + GAP, top + len(rows) * (high + GAP) + GAP
    if width * height > MOST_PIXELS:
        raise ValueError(f"{width} x {height} pixels")
    whole = Image.new("RGB", (width, height), PAPER)
    pen, face, small = ImageDraw.Draw(whole), font(16), font(13)
    pen.text((GAP * 2, 18), fit(title, width - GAP * 4, face), INK, font=face, anchor="lm")
    for at, label in enumerate(columns):
        middle = left + GAP + at * (wide + GAP) + wide // 2
        pen.text((middle, 48), fit(label, wide, face), INK, font=face, anchor="mm")
    for down, label in enumerate(rows):
        y = top + down * (high + GAP)
        if label:
            words = wrap(label, left - GAP * 3, face, max(1, min(6, high // 22)))
            pen.multiline_text((left - GAP, y + high // 2), words, INK, font=face, anchor="rm", align="right")
        for across, cell in enumerate(cells[down]):
            x = left + GAP + across * (wide + GAP)
            missing = _paste(whole, cell, x, y, wide, high) if isinstance(cell, Path) else cell
            if missing:
                pen.rectangle([x, y, x + wide - 1, y + high - 1], fill=FAINT)
                shown = fit(missing, wide - GAP * 2, small)
                pen.text((x + wide // 2, y + high // 2), shown, INK, font=small, anchor="mm")
    return whole


def _paste(whole: Image.Image, file: Path, x: int, y: int, wide: int, high: int) -> str:
    """Words when the picture cannot be shown."""
    from PIL import Image

    from .thumbs import small

    try:
        from io import BytesIO

        with Image.open(BytesIO(small(file, max(wide, high)))) as image:
            whole.paste(image, (x + (wide - image.width) // 2, y + (high - image.height) // 2))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return "cannot be read"
    return ""
