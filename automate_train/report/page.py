"""The page's file: its data and the parts in `web/` -> one HTML text.

Covers: putting styles, scripts and data together so that nothing in the data can become markup, and a policy that lets
the page load nothing, send nothing and run no script but its own.
Not: what the data is (`page_data`), what the page does (`web/js`).

The JavaScript files are modules. Each becomes a function in one script, its imports become constants: the page needs
neither a bundler nor a server, and opens from a disk.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from .cache import compact_json

MODULES = (
    "dom", "format", "data", "sweep", "view", "marks", "cell", "controls", "keyboard", "save_table", "grid", "viewer",
    "compare", "heat_map", "vote_model", "votes", "answer", "colours", "resample", "chart", "replicates", "curves",
    "table", "marks_tab", "provenance", "vote_pictures", "vote_tab", "alarms", "main",
)  # fmt: skip
"""Each imports only earlier ones."""
STYLES = ("base", "answer", "grid", "viewer", "panels", "vote", "alarms")


@cache
def web(name: str) -> str:
    return (files(__package__) / "web" / name).read_text(encoding="utf-8")


def script() -> str:
    """All modules as one script: each is a function that returns what the module exports. Nothing becomes global."""
    parts = "\n".join(_module(name) for name in MODULES)
    return f'(() => {{\n"use strict";\nconst modules = {{}};\n{parts}\n}})();\n'


def _module(name: str) -> str:
    text = web(f"js/{name}.js")
    exported = re.findall(r"^export (?:async )?(?:function|const) (\w+)", text, re.MULTILINE)
    text = re.sub(r'^import (\{[^}]*\}) from "\./(\w+)\.js";', r"const \1 = modules.\2;", text, flags=re.MULTILINE)
    text = re.sub(r"^export ", "", text, flags=re.MULTILINE)
    return f"modules.{name} = (() => {{\n{text}return {{ {', '.join(exported)} }};\n}})();"


def safe_json(value: object) -> str:
    """JSON for the inside of a script element: without `<`, and without the line separators of JavaScript."""
    text = compact_json(value)
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text


def render(data: Mapping[str, object], packed: Mapping[str, str]) -> str:
    """The page. `packed`: element id -> base64, unpacked by the page on request, or a `data:` URL."""
    style = web("vendor/uPlot.min.css") + "".join(web(f"css/{name}.css") for name in STYLES)
    plot, own = f"/*\n{web('vendor/uPlot.LICENSE')}\n*/\n{web('vendor/uPlot.iife.min.js')}", script()
    assert all(re.fullmatch(r"[-\w]+", name) and re.fullmatch(r"[\w:;,/+=]*", text) for name, text in packed.items())
    parts = {
        "policy": _policy(style, (plot, own)),
        "title": html.escape(f"{data['project']}: report"),
        "style": style,
        "plot": plot,
        "script": own,
        "data": safe_json(data),
        # Pictures come before our script, which draws them at once; the rest comes after it, so that it runs early.
        "pictures": _parts({name: text for name, text in packed.items() if text.startswith("data:")}),
        "packed": _parts({name: text for name, text in packed.items() if not text.startswith("data:")}),
    }
    page = re.sub(r"\{\{(\w+)\}\}", lambda place: parts[place[1]], web("page.html"))
    return page.encode("utf-8", "replace").decode("utf-8")


def _parts(packed: Mapping[str, str]) -> str:
    return "\n".join(f'<script type="text/plain" id="{name}">{text}</script>' for name, text in packed.items())


def _policy(style: str, scripts: tuple[str, ...]) -> str:
    """A browser runs only scripts and styles with these hashes; pictures come from its own disk or itself."""
    allowed = " ".join(_hash(text) for text in scripts)
    return (
        f"default-src 'none'; script-src {allowed}; style-src {_hash(style)}; img-src 'self' file: data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
