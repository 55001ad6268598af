"""Our LoRAs on a WebUI: files in one folder of ours, brought through the model uploader or a folder shared with the
server, and the WebUI's own list, which decides what a prompt's tag means.

Covers: bring, list and delete for both ways; proof by the uploader's hash. Not: when to do it again (`sampling`). The
uploader answers most failures with 200 and `success: false`, and its overwrite switch acts for everybody: a name is
used once and never overwritten.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from ..protocol import LoraRefused, NameTaken, Refused, Unavailable
from .http import MIB, READ_S, Http
from .lora_file import BLOCK, NAME, Body, check_whole, checked, uploader_hash

LIST = "/sdapi/v1/loras"


class Loras:
    """What is ours on one server. Every call can be repeated. Names have no extension."""

    def __init__(self, http: Http, folder: str, lora_dir: str | Path | None = None) -> None:
        """`lora_dir`: a folder of this machine that is the server's models/Lora, or a part of it."""
        self._http, self._folder = http, folder
        self._files: Uploader | SharedFolder = SharedFolder(Path(lora_dir)) if lora_dir else Uploader(http)

    def upload(self, file: Path, name: str) -> None:
        """The server has this very file under this name, proved by its hash. Where it is there already, this costs one
        small request. `NameTaken`: the name is another file's; `LoraRefused`: the local file is not whole."""
        where = checked(name, self._folder)
        try:
            check_whole(file)
            try:
                self._files.bring(file, where)
            except NameTaken:
                listed = self._path_of(name) if isinstance(self._files, Uploader) else None
                if not listed:
                    raise
                self._files.bring(file, where, listed)  # with the path, an old hash can be dropped from its cache
        except OSError as error:
            raise LoraRefused(f"{file} cannot be read: {error.strerror}") from None

    def show(self, name: str) -> None:
        """The WebUI lists our file under this name, so that a tag with it means our file. `Unavailable`: it does not
        (yet); `NameTaken`: the name is a file's in another folder, which would be used instead."""
        if not self._path_of(name):
            raise Unavailable(f"{self._http.url} does not list {name} after refreshing its LoRAs")

    def _path_of(self, name: str) -> str | None:
        """Refresh, then the server's own path of our file, or None."""
        ours = checked(name, self._folder).split("/")
        self.refresh()
        for each in self._http.items(LIST):
            if each.get("name") == name:
                path = str(each.get("path", ""))
                if re.split(r"[\\/]", path)[-2:] == ours:
                    return path
                raise NameTaken(
                    f"{self._http.url} has another LoRA named {name} in another folder: a new name is needed"
                )
        return None

    def refresh(self) -> None:
        self._http.ask("POST", "/sdapi/v1/refresh-loras")

    def hashes(self) -> dict[str, str]:
        """{name: uploader's hash} of what is in our folder; {} where there is no such folder."""
        return self._files.hashes(self._folder)

    def delete(self, name: str) -> None:
        """Our file is gone from the server (checked), and from its list; a file that was not there is fine."""
        self._files.delete(checked(name, self._folder))
        self.refresh()


def _name_of(path: str) -> str | None:
    """The name of a .safetensors file in a path of either system; None if it cannot be one of ours."""
    last = re.split(r"[\\/]", path)[-1]
    name = last.removesuffix(".safetensors")
    return name if name != last and NAME.fullmatch(name) else None


class Uploader:
    """The extension's routes."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def bring(self, file: Path, where: str, server_path: str | None = None) -> None:
        """After this the server has this very file there, whatever happened to earlier answers."""
        there, wanted, lost = self.hash_of(where), "", None
        if there is None:
            body = Body(file, where)
            try:
                server_path = self._send(body) or server_path
            except Unavailable as error:  # stored or not? only its hash tells
                lost = error
            wanted, there = body.hash, self.hash_of(where)
            if there is None:
                raise lost or Unavailable(f"{self._http.url} took {where} but does not have it")
        wanted = wanted or uploader_hash(file)
        if there != wanted and server_path:  # a hash that was taken while the file was still being moved stays cached
            self._form("/remove_cache", {"file_path": server_path})
            there = self.hash_of(where)
        if there != wanted:
            raise NameTaken(f"{self._http.url} has another file as {where}: a new name is needed")

    def _send(self, body: Body) -> str:
        """The file's absolute path on the server, or "" where there is a file of this name already."""
        seconds = 120 + body.size / MIB  # the server answers only after it has copied the file to its disk, twice
        options = {"body": body, "headers": body.headers, "uploader": True, "read_s": seconds, "send_s": 60.0}
        answer = self._http.table("POST", "/upload_lora_model", **options)
        message = str(answer.get("message", ""))
        if answer.get("success") is True:
            found = re.search(r" to (\S.*)$", message)
            return found[1].strip() if found else ""
        if "already exists" in message:
            return ""
        raise Unavailable(f"{self._http.url} did not take the file: {self._http.says(message)}")

    def hash_of(self, where: str) -> str | None:
        """The 64 hex of a file on the server, None where there is none. The server reads a large file first."""
        answer = self._form("/models/query_hash_lora", {"path": where}, read_s=600)
        found = answer.get("hashvalue")
        return found if answer.get("success") is True and isinstance(found, str) and found else None

    def hashes(self, folder: str) -> dict[str, str]:
        answer = self._form("/models/query_hash_lora_all", {"path": folder}, read_s=600)
        found = answer.get("hashes")
        if answer.get("success") is not True or not isinstance(found, dict):
            return {}
        named = ((_name_of(str(path)), str(digest)) for path, digest in found.items())
        return {name: digest for name, digest in named if name}

    def delete(self, where: str) -> None:
        self._form("/delete/lora_model", {"model_path": where})  # "Could not find" is what we want: only the end counts
        if self.hash_of(where) is not None:
            raise Unavailable(f"{self._http.url} has not deleted {where}")

    def _form(self, path: str, fields: dict[str, str], read_s: float = READ_S) -> dict[str, object]:
        return self._http.table("POST", path, form=fields, uploader=True, read_s=read_s)


class SharedFolder:
    """A folder of this machine in which the server looks for LoRAs."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def bring(self, file: Path, where: str, server_path: str | None = None) -> None:
        target = self._root / where
        if not self._root.is_dir():
            raise Refused(f"webui_lora_dir {self._root} is not a folder")
        try:
            if target.exists():
                if uploader_hash(target) != uploader_hash(file):
                    raise NameTaken(f"{target} is another file: a new name is needed")
                return
            target.parent.mkdir(exist_ok=True)
            half = target.with_suffix(".tmp")  # the WebUI lists only what has the right extension
            with open(file, "rb") as source, open(half, "wb") as copy:
                shutil.copyfileobj(source, copy, BLOCK)
                copy.flush()
                os.fsync(copy.fileno())
            os.replace(half, target)
        except OSError as error:
            raise Unavailable(f"{target} could not be written: {error.strerror}") from None

    def hashes(self, folder: str) -> dict[str, str]:
        found = sorted((self._root / folder).glob("*.safetensors"))
        return {name: uploader_hash(path) for path in found if (name := _name_of(path.name))}

    def delete(self, where: str) -> None:
        target = self._root / where
        try:
            target.unlink(missing_ok=True)
            target.with_suffix(".tmp").unlink(missing_ok=True)
            if target.parent.is_dir() and not any(target.parent.iterdir()):
                target.parent.rmdir()
        except OSError as error:
            raise Unavailable(f"{target} could not be deleted: {error.strerror}") from None
