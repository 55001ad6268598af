"""What can go wrong with a server, by what it means for the caller.

Covers: the exceptions of this package; making a server's words fit for one line of ours. Not: deciding when to retry.
"""

from __future__ import annotations

import json
import re
from typing import Any

WORDS = 300
"""Characters of a server's own text that go into a message."""


class Trouble(Exception):
    """Base of all that this package raises about a server: one sentence with the server's address, no credentials."""


class Final(Trouble):
    """Coming again changes nothing: a person must (401, 403, 404, 413, 422, an address that is no WebUI)."""


class Unreachable(Final):
    """Only from `WebUI.probe`: nobody is there. Before a sweep this is an error; later it means the same as `Again`."""


class TooMuch(Final):
    """An answer that is larger than any honest one."""


class Again(Trouble):
    """Transient: refused, reset, timed out, 429, 5xx, an HTML page. Whether the request was obeyed is not known."""


class Mismatch(Trouble):
    """Another file has this name on the server, or the file there is not ours: use a new name."""


def plain(text: object) -> str:
    """A server's text on one line, printable and short."""
    line = re.sub(r"\s+", " ", "".join(c if c.isprintable() else " " for c in str(text)[: 4 * WORDS])).strip()
    return line if len(line) <= WORDS else line[: WORDS - 3] + "..."


def reason(content: bytes) -> str:
    """What an error answer says: FastAPI's or the WebUI's JSON, else nothing (an HTML page tells a person little)."""
    try:
        found: Any = json.loads(content)
    except ValueError:
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
    return plain(" ".join(str(each) for each in (detail, found.get("errors"), found.get("message")) if each))
