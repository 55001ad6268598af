"""Golden files: what was written once is compared word for word, with a diff to read when it differs.

`UPDATE_GOLDEN=1 pytest` writes them anew; look at `git diff tests/golden` afterwards.
"""

from __future__ import annotations

import difflib
import os
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "golden"


def compare(name: str, text: str, **places: str) -> None:
    """Fail unless `tests/golden/<name>` holds `text`. `places`: name -> a path of this machine; the longest first,
    each is written as `{name}`."""
    for place, path in sorted(places.items(), key=lambda item: -len(item[1])):
        text = text.replace(path, f"{{{place}}}")
    file = FOLDER / name
    if os.environ.get("UPDATE_GOLDEN"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    wanted = file.read_text(encoding="utf-8") if file.exists() else ""
    if text != wanted:
        lines = difflib.unified_diff(wanted.splitlines(), text.splitlines(), f"golden/{name}", "now", lineterm="")
        pytest.fail("\n".join(["", *lines, "", "UPDATE_GOLDEN=1 pytest accepts this"]), pytrace=False)
