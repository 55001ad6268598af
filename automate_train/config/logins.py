"""Names and passwords inside the addresses of image servers: `http://user:password@host`.

Covers: taking them out of the addresses while configs are merged, so that an address can be shown and kept; they become
`webui_auth`, which is neither. Not: what else is secret (`key_sets`), using a login (`sampling/servers`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote

from ..errors import UserError
from ..records import Setting

ADDRESSES = ("webui_url", "webui_urls", "webui_url_list", "webui_urls_list")
LOGIN = re.compile(r"(?P<before>^\s*(?:\w+://)?|,\s*(?:\w+://)?)(?P<login>[^\s/?#,]+)@")


def move_logins(settings: dict[str, Setting]) -> None:
    """Take the logins out of the addresses; `webui_auth` wins over them, as it always has. `UserError` where two
    addresses have different ones."""
    found: dict[str, Setting] = {}
    for key in ADDRESSES:
        if (setting := settings.get(key)) is not None and (logins := list(logins_in(setting.value))):
            settings[key] = setting._replace(value=without_logins(setting.value))
            found |= dict.fromkeys(logins, setting)
    if not found or settings.get("webui_auth"):
        return
    (login, setting), *others = found.items()
    if others:
        text, hint = "holds addresses with different logins", "give the servers one user, and name it in webui_auth"
        raise UserError(text, source=str(setting.source), key=setting.written, hint=hint)
    user, _, password = login.partition(":")
    settings["webui_auth"] = Setting(f"{unquote(user)}:{unquote(password)}", setting.source, "webui_auth")


def logins_in(value: object) -> Iterator[str]:
    """As they are written: `user:pass%40word`."""
    if isinstance(value, list):
        for part in value:
            yield from logins_in(part)
    elif isinstance(value, str):
        yield from (match["login"] for match in LOGIN.finditer(value))


def without_logins(value: object, instead: str = "") -> object:
    if isinstance(value, list):
        return [without_logins(part, instead) for part in value]
    return LOGIN.sub(rf"\g<before>{instead}", value) if isinstance(value, str) else value
