"""LoRA files on the server: through the model uploader, or through a folder shared with it.

Covers: bring a file, list ours, delete one, for both ways; proof by the uploader's hash. Not: the WebUI's own list of
LoRAs (`client`). The uploader answers most failures with 200 and `success: false`, and its overwrite switch belongs to
everybody: a name is used once and never written over.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path, PurePosixPath

from .errors import Again, Final, Mismatch
from .files import BLOCK, NAME, Body, checked, uploader_hash
from .http import MIB, READ_S, Http


def _ours(path: str) -> str | None:
    """The name of a .safetensors file in a path of either system, None if it cannot be one of ours."""
    last = re.split(r"[\\/]", path)[-1]
    name = last.removesuffix(".safetensors")
    return name if name != last and NAME.fullmatch(name) else None


class Uploader:
    """The extension's routes. Every call can be repeated."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def bring(self, file: Path, name: str, folder: str, server_path: str | None = None) -> None:
        """After this the server has this very file as folder/name.safetensors, whatever happened to earlier answers."""
        where = checked(name, folder)
        there, wanted, lost = self.hash_of(where), "", None
        if there is None:
            body = Body(file, name, folder)
            try:
                server_path = self._send(body) or server_path
            except Again as error:  # stored or not? only its hash tells
                lost = error
            wanted, there = body.hash, self.hash_of(where)
            if there is None:
                raise lost or Again(f"{self._http.url} took {name} but does not have it")
        wanted = wanted or uploader_hash(file)
        if there != wanted and server_path:  # a hash that was taken while the file was still moving stays cached
            self._form("/remove_cache", {"file_path": server_path})
            there = self.hash_of(where)
        if there != wanted:
            raise Mismatch(f"{self._http.url} has another file as {where}: a new name is needed")

    def _send(self, body: Body) -> str:
        """The file's absolute path on the server, or "" where such a name is there already."""
        seconds = 120 + body.size / MIB  # an answer comes only after the server has copied it to its disk, and again
        options = {"body": body, "headers": body.headers, "uploader": True, "read_s": seconds, "send_s": 60.0}
        answer = self._http.table("POST", "/upload_lora_model", **options)
        message = str(answer.get("message", ""))
        if answer.get("success") is True:
            found = re.search(r" to (\S.*)$", message)
            return found[1].strip() if found else ""
        if "already exists" in message:
            return ""
        raise Again(f"{self._http.url} did not take the file: {self._http.says(message)}")

    def hash_of(self, where: str) -> str | None:
        """The 64 hex of a file on the server, None where there is none; a large one is read there first."""
        answer = self._form("/models/query_hash_lora", {"path": where}, read_s=600)
        found = answer.get("hashvalue")
        return found if answer.get("success") is True and isinstance(found, str) and found else None

    def hashes(self, folder: str) -> dict[str, str]:
        """{name: 64 hex} of one of our folders; empty where there is no such folder."""
        answer = self._form("/models/query_hash_lora_all", {"path": folder}, read_s=600)
        found = answer.get("hashes")
        if answer.get("success") is not True or not isinstance(found, dict):
            return {}
        named = ((_ours(str(path)), str(digest)) for path, digest in found.items())
        return {name: digest for name, digest in named if name}

    def delete(self, name: str, folder: str) -> None:
        where = checked(name, folder)
        self._form("/delete/lora_model", {"model_path": where})  # "Could not find" is what we want, so ask for the end
        if self.hash_of(where) is not None:
            raise Again(f"{self._http.url} has not deleted {where}")

    def _form(self, path: str, fields: dict[str, str], read_s: float = READ_S) -> dict[str, object]:
        return self._http.table("POST", path, form=fields, uploader=True, read_s=read_s)


class SharedFolder:
    """A folder of this machine that the server looks into as (part of) its models/Lora."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def bring(self, file: Path, name: str, folder: str, server_path: str | None = None) -> None:
        target = self._root / PurePosixPath(checked(name, folder))
        if not self._root.is_dir():
            raise Final(f"webui_lora_dir {self._root} is no folder")
        try:
            if target.exists():
                if uploader_hash(target) != uploader_hash(file):
                    raise Mismatch(f"{target} is another file: a new name is needed")
                return
            target.parent.mkdir(exist_ok=True)
            half = target.with_name(f"{name}.tmp")  # the WebUI lists only what has its full name
            with open(file, "rb") as source, open(half, "wb") as copy:
                shutil.copyfileobj(source, copy, BLOCK)
                copy.flush()
                os.fsync(copy.fileno())
            os.replace(half, target)
        except OSError as error:
            raise Again(f"{target} could not be written: {error.strerror}") from None

    def hashes(self, folder: str) -> dict[str, str]:
        found = sorted((self._root / folder).glob("*.safetensors"))
        return {name: uploader_hash(path) for path in found if (name := _ours(path.name))}

    def delete(self, name: str, folder: str) -> None:
        target = self._root / PurePosixPath(checked(name, folder))
        try:
            target.unlink(missing_ok=True)
            target.with_name(f"{name}.tmp").unlink(missing_ok=True)
            if target.parent.is_dir() and not any(target.parent.iterdir()):
                target.parent.rmdir()
        except OSError as error:
            raise Again(f"{target} could not be deleted: {error.strerror}") from None
