"""`WebUI`: one server as the sampler sees it.

Covers: the probe, the WebUI's own list of LoRAs and its txt2img, and one door to the uploader and the queue.
Not: retries and their pace; apart from a second question for a hash, every call is one attempt and may be repeated.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import Again, Final, Mismatch, Unreachable
from .files import checked, whole
from .http import Http
from .pictures import NoPicture, Picture, decoded, picture, without_grid
from .tasks import PICTURES, ROOT, Failed, Queue, Tasks, Waiting
from .uploader import SharedFolder, Uploader

LORAS = "/sdapi/v1/loras"


@dataclass(frozen=True)
class Abilities:
    """What answers on this server. Without a scheduler there is `txt2img`; without an uploader, `lora_dir`."""

    api: bool
    uploader: bool
    scheduler: bool
    paused: bool


class WebUI:
    """One server, for one thread at a time (two threads take two of these).

    `auth` and `uploader_auth` are `user:password`; the second only where the uploader has users of its own. `lora_dir`
    is a folder shared with the server's models/Lora and replaces the uploader. `Final` for an address that is none.
    """

    def __init__(
        self, url: str, auth: str | None = None, uploader_auth: str | None = None, lora_dir: str | Path | None = None
    ) -> None:
        self._http = Http(url, auth, uploader_auth)
        self._files: Uploader | SharedFolder = SharedFolder(Path(lora_dir)) if lora_dir else Uploader(self._http)
        self._tasks = Tasks(self._http)
        self.url = self._http.url
        """The address without credentials: for messages, and as the server's name."""

    def close(self) -> None:
        self._http.close()

    def probe(self) -> Abilities:
        """Each part on its own. `Unreachable` (a `Final`): nobody is there. `Final`: wrong user, no WebUI, no --api."""
        try:
            options = self._http.ask("GET", "/sdapi/v1/options", allow=(404,))
        except Again as error:
            raise Unreachable(str(error)) from None
        if options.status == 404:
            raise Final(f"{self.url} has no /sdapi/v1 (404): start the WebUI with --api (or the address is wrong)")
        try:
            self._http.parsed(options, "/sdapi/v1/options")
        except Again:
            raise Final(f"{self.url} is no WebUI: it answers /sdapi/v1/options with something else") from None
        with self._http.open("GET", LORAS, allow=(404,)) as answer:  # unread: it can be very long
            if answer.status_code == 404:
                raise Final(f"{self.url} has no list of LoRAs (404): enable its built-in extension Lora")
        uploader = isinstance(self._files, Uploader) and self._there("/uploader/ping", uploader=True) is not None
        queue = self._there(f"{ROOT}/queue", query={"limit": 1}, limit=PICTURES)
        return Abilities(True, uploader, queue is not None, queue is not None and queue.get("paused") is True)

    def _there(self, path: str, **options: Any) -> dict[str, Any] | None:
        """The answer of an extension; None for 404, which also means that it failed to load when the WebUI started."""
        answer = self._http.ask("GET", path, allow=(404,), **options)
        return None if answer.status == 404 else self._http.parsed(answer, path)

    def upload(self, file: Path, name: str, folder: str) -> None:
        """The server has this very file as folder/name.safetensors, proved by its hash. `name` has no extension.

        Costs one small question where it is there already, so after `Again` just call it again. `Mismatch`: that name
        holds another file (which is left alone). `Final`: the local file is not whole, or the server refuses it.
        """
        try:
            whole(file)
            self._files.bring(file, name, folder)
        except Mismatch:
            listed = self._listed(name, folder) if isinstance(self._files, Uploader) else None
            if not listed:
                raise
            self._files.bring(file, name, folder, listed)  # with the path, an old cached hash can be dropped
        except OSError as error:
            raise Final(f"{file} cannot be read: {error.strerror}") from None

    def show(self, name: str, folder: str) -> None:
        """The WebUI lists our file under this name, so `<lora:name:1>` means it. `Again`: not (yet); `Mismatch`: the
        name belongs to a file elsewhere, which would be drawn instead."""
        if not self._listed(name, folder):
            raise Again(f"{self.url} does not list {name} after refreshing its LoRAs")

    def _listed(self, name: str, folder: str) -> str | None:
        """Refresh, then the server's own path of our file, or None."""
        ours = checked(name, folder).split("/")
        self.refresh()
        for each in self._http.items(LORAS):
            if each.get("name") == name:
                path = str(each.get("path", ""))
                if re.split(r"[\\/]", path)[-2:] == ours:
                    return path
                raise Mismatch(f"{self.url} has another LoRA named {name} in another folder: a new name is needed")
        return None

    def refresh(self) -> None:
        self._http.ask("POST", "/sdapi/v1/refresh-loras")

    def hashes(self, folder: str) -> dict[str, str]:
        """{name: uploader's hash} of what lies in one folder of ours; {} where there is no such folder."""
        checked("x", folder)
        return self._files.hashes(folder)

    def delete(self, name: str, folder: str) -> None:
        """Our file is gone from the server (checked), and from its list; a file that was not there is fine."""
        self._files.delete(name, folder)
        self.refresh()

    def queue(self, payload: dict[str, Any]) -> str:
        """The scheduler's task id. After `Again` the task may exist: `find` it before sending it again."""
        return self._tasks.queue(payload)

    def find(self, text: str, seed: int, known: Collection[str] = ()) -> str | None:
        """The newest-found task with `text` in its prompt and this seed, not among `known`, or None."""
        return self._tasks.find(text, seed, known)

    def result(self, task_id: str) -> Waiting | Failed | list[Picture]:
        """How it stands with a task; a grid is left out."""
        return self._tasks.result(task_id)

    def state(self) -> Queue:
        return self._tasks.state()

    def resume(self) -> None:
        """Unpause and kick the queue."""
        self._tasks.resume()

    def cancel(self, task_id: str) -> None:
        """Take our task out of the queue; fine where it is not there any more."""
        self._tasks.cancel(task_id)

    def txt2img(self, payload: dict[str, Any], limit_s: float = 1800.0) -> list[Picture]:
        """Draw at once and wait for it, at most `limit_s` (with the server's queue). `Final`: it cannot be drawn."""
        path = "/sdapi/v1/txt2img"
        answer = self._http.table("POST", path, json=payload, read_s=limit_s, limit=PICTURES)
        try:
            texts = json.loads(str(answer.get("info", ""))).get("infotexts")
        except (ValueError, RecursionError, AttributeError):
            texts = None
        texts, images = texts if isinstance(texts, list) else [], answer.get("images")
        if not isinstance(images, list) or not images:
            raise Again(f"{self.url} answered {path} without a picture")
        texts += [""] * (len(images) - len(texts))
        try:
            return without_grid([picture(decoded(one), text) for one, text in zip(images, texts, strict=False)])
        except NoPicture as wrong:
            raise Final(f"{self.url}: {wrong}") from None
