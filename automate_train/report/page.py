"""The page's file: data and parts of `web/` -> one HTML text.

Covers: putting styles, scripts and data into it so that nothing in the data can become markup, and a policy that lets
the page neither load nor send anything, nor run a script that is not ours.
Not: what the data is (`data`), what the page does (`web/js`).

The JavaScript files are modules. Here each becomes a function in one script, its imports constants: so the page needs
neither a bundler nor a server, and opens from a disk.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

MODULES = (
    "dom", "format", "store", "sweep", "view", "marks", "cell", "controls", "keys", "grid", "viewer", "compare",
    "colours", "resample", "chart", "curves", "effects", "table", "notes", "provenance", "main",
)  # fmt: skip
"""In the order in which they need each other."""
STYLES = ("base", "grid", "viewer", "panels")


@cache
def web(name: str) -> str:
    return (files(__package__) / "web" / name).read_text(encoding="utf-8")


def script() -> str:
    """All modules as one script: each a function that gives back what it exports. Nothing becomes global."""
    parts = "\n".join(_module(name) for name in MODULES)
    return f'(() => {{\n"use strict";\nconst modules = {{}};\n{parts}\n}})();\n'


def _module(name: str) -> str:
    text = web(f"js/{name}.js")
    exported = re.findall(r"^export (?:async )?(?:function|const) (\w+)", text, re.MULTILINE)
    text = re.sub(r'^import (\{[^}]*\}) from "\./(\w+)\.js";', r"const \1 = modules.\2;", text, flags=re.MULTILINE)
    text = re.sub(r"^export ", "", text, flags=re.MULTILINE)
    return f"modules.{name} = (() => {{\n{text}return {{ {', '.join(exported)} }};\n}})();"


def safe_json(value: Any) -> str:
    """JSON that may stand inside a script element: no `<`, and no line separators that JavaScript would see."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text


def render(data: Mapping[str, Any], packed: Mapping[str, str]) -> str:
    """The page. `packed`: id of an element -> base64 or a `data:` URL, unpacked only when it is asked for."""
    style = web("vendor/uPlot.min.css") + "".join(web(f"css/{name}.css") for name in STYLES)
    plot, ours = f"/*\n{web('vendor/uPlot.LICENSE')}\n*/\n{web('vendor/uPlot.iife.min.js')}", script()
    assert all(re.fullmatch(r"[-\w]+", name) and re.fullmatch(r"[\w:;,/+=]*", text) for name, text in packed.items())
    parts = {
        "policy": _policy(style, (plot, ours)),
        "title": html.escape(f"{data['project']}: report"),
        "style": style,
        "plot": plot,
        "script": ours,
        "data": safe_json(data),
        # Pictures before our script, which draws them at once; the rest behind it, so that the page stands early.
        "pictures": _parts({name: text for name, text in packed.items() if text.startswith("data:")}),
        "packed": _parts({name: text for name, text in packed.items() if not text.startswith("data:")}),
    }
    page = re.sub(r"\{\{(\w+)\}\}", lambda place: parts[place[1]], web("page.html"))
    return page.encode("utf-8", "replace").decode("utf-8")


def _parts(packed: Mapping[str, str]) -> str:
    return "\n".join(f'<script type="text/plain" id="{name}">{text}</script>' for name, text in packed.items())


def _policy(style: str, scripts: tuple[str, ...]) -> str:
    """A browser runs only what bears these hashes; pictures come from where the page is."""
    allowed = " ".join(_hash(text) for text in scripts)
    return (
        f"default-src 'none'; script-src {allowed}; style-src {_hash(style)}; img-src 'self' file: data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
