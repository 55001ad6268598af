"""A server's own words, fit for one line of a message of ours.

Covers: text of any length and kind -> one short printable line; what an error answer says. Not: what it means (`http`).
"""

from __future__ import annotations

import json
import re

LONGEST = 300
"""Characters of a server's own text that go into a message."""


def one_line(text: object) -> str:
    """A server's text on one line, printable and short."""
    line = re.sub(r"\s+", " ", "".join(c if c.isprintable() else " " for c in str(text)[: 4 * LONGEST])).strip()
    return line if len(line) <= LONGEST else line[: LONGEST - 3] + "..."


def error_text(content: bytes) -> str:
    """What an error answer says: FastAPI's or the WebUI's JSON, else nothing (an HTML page tells a person little)."""
    try:
        found: object = json.loads(content)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(found, dict):
        return ""
    detail = found.get("detail")
    if isinstance(detail, list):  # validation: [{loc, msg, type}]
        detail = "; ".join(
            f"{'.'.join(map(str, each.get('loc', [])))} {each.get('msg', '')}"
            for each in detail[:5]
            if isinstance(each, dict) and isinstance(each.get("loc", []), list)
        )
    return one_line(" ".join(str(each) for each in (detail, found.get("errors"), found.get("message")) if each))
