"""Which kind of image server an address and a run's options mean.

Covers: the choice, today always a WebUI, and what that kind reads of the options and the environment. Importing this
module takes 50 ms (requests). Not: talking to a server.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...config.keys import WEBUI_SECRETS, unset
from .protocol import ImageServer
from .webui.server import WebUI


def connect(url: str, folder: str, options: Mapping[str, Any], environment: Mapping[str, str]) -> ImageServer:
    """Nothing is asked yet. `folder`: our own among the server's LoRAs. `Refused`: the address is not one."""
    auth, uploader_auth = (environment.get(WEBUI_SECRETS[key]) for key in ("webui_auth", "webui_uploader_auth"))
    lora_dir = options.get("webui_lora_dir")
    return WebUI(
        url, folder, auth=auth, uploader_auth=uploader_auth, lora_dir=None if unset(lora_dir) else str(lora_dir)
    )
