"""The agent scheduler's queue: put pictures in, ask for them, take our own out.

Covers: its routes, and which of its answers is a success. Not: how often to ask, when to kick a stalled queue.
Never used here are the routes that act on everybody's tasks (clear, requeue-failed).
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from .errors import Again, Final, TooMuch
from .http import MIB, Http
from .pictures import LARGEST, NoPicture, Picture, decoded, picture, without_grid

ROOT = "/agent-scheduler/v1"
PICTURES = 128 * MIB
"""Bytes of an answer with pictures."""
PAGE, PAGES = 50, 40
ID = re.compile(r"[A-Za-z0-9_-]{1,80}")
UPDATE = "update the agent scheduler, or enable the infotext in the WebUI's settings"


@dataclass(frozen=True)
class Waiting:
    """Not final: pending, or running (which this queue seldom shows)."""

    reason: str


@dataclass(frozen=True)
class Failed:
    """Final without a picture."""

    reason: str

    @property
    def out_of_memory(self) -> bool:
        """The GPU was full, and the queue has paused itself for everybody."""
        return "out of memory" in self.reason.lower()


@dataclass(frozen=True)
class Queue:
    current: str | None
    """Our id only in older WebUIs; in newer ones a text of the WebUI's own: never conclude "not started" from it."""
    paused: bool
    pending_ids: tuple[str, ...]
    """The first ones (at most 20), everybody's."""
    total: int
    """How many wait, everybody's."""


class Tasks:
    def __init__(self, http: Http) -> None:
        self._http = http
        self._old_results = False

    def queue(self, payload: dict[str, Any]) -> str:
        """The new task's id. After `Again` it may exist: `find` it before sending it again."""
        path = f"{ROOT}/queue/txt2img"
        try:
            answer = self._http.table("POST", path, json=payload)
        except Again as error:
            if "not found script" in str(error).lower():
                raise Final(str(error)) from None
            raise
        return self._checked(answer.get("task_id"), path)

    def find(self, text: str, seed: int, known: Collection[str] = ()) -> str | None:
        """The id of a task whose prompt holds `text` with this seed and that is none of `known`: first among those
        that wait, then in the history. Give the whole prompt where several prompts share a name and a seed."""
        for path, key in ((f"{ROOT}/queue", "pending_tasks"), (f"{ROOT}/history", "tasks")):
            for task in self._pages(path, key):
                asked = _params(task)
                if text in str(asked.get("prompt", "")) and asked.get("seed") == seed and task.get("id") not in known:
                    return self._checked(task.get("id"), path)
        return None

    def _pages(self, path: str, key: str) -> Iterator[dict[str, Any]]:
        for page in range(PAGES):
            query = {"limit": PAGE, "offset": page * PAGE}
            rows = self._http.table("GET", path, query=query, limit=PICTURES).get(key)
            yield from (row for row in rows or () if isinstance(row, dict)) if isinstance(rows, list) else ()
            if not isinstance(rows, list) or len(rows) < PAGE:
                return

    def result(self, task_id: str) -> Waiting | Failed | list[Picture]:
        """How it stands with a task. Only pictures are a success: `success: true` with nothing in it is none."""
        try:
            return self._result(task_id)
        except TooMuch as error:  # this picture's trouble, not the server's
            return Failed(str(error))

    def _result(self, task_id: str) -> Waiting | Failed | list[Picture]:
        status, answer = self._results(task_id)
        if answer is None:  # 500: the known one of old schedulers never ends, so look whether the task is done
            if self._task(task_id).get("status") != "done":
                raise Again(f"{self._http.url} answered for the results of task {task_id} with {status}")
            return self._zipped(task_id)
        data, message = answer.get("data"), self._http.says(answer.get("message", ""))
        if answer.get("success") is True:
            if not isinstance(data, list) or not data:
                return Failed("done, but its pictures are gone from the server's disk")
            try:
                each = [entry if isinstance(entry, dict) else {} for entry in data]
                return without_grid([picture(decoded(one.get("image")), one.get("infotext")) for one in each])
            except NoPicture as wrong:
                return Failed(str(wrong))
        if message in ("Task is pending", "Task is running"):
            return Waiting(message.removeprefix("Task is "))
        if message in ("Task is failed", "Task is interrupted"):
            why = self._http.says(self._task(task_id).get("result") or "")
            state = message.removeprefix("Task is ")
            return Failed(f"{state}: {why or 'the server gives no reason (often an unknown sampler_name)'}")
        return Failed(message or "the server gives neither a picture nor a reason")

    def _results(self, task_id: str) -> tuple[int, dict[str, Any] | None]:
        """(status, the answer, or None after a 500), from the newer address or, where there is none, the older."""
        for old in (self._old_results, not self._old_results):
            path = self._path(task_id, old)
            answer = self._http.ask("GET", path, allow=(404, 500), limit=PICTURES)
            if answer.status != 404:
                self._old_results = old
                return answer.status, None if answer.status == 500 else self._http.parsed(answer, path)
        raise Final(f"{self._http.url} answers 404 for {path}: is the agent scheduler still installed?")

    def _path(self, task_id: str, old: bool) -> str:
        return f"{ROOT}/results/{task_id}" if old else f"{ROOT}/task/{task_id}/results"

    def _zipped(self, task_id: str) -> Failed | list[Picture]:
        path = self._path(task_id, self._old_results)
        answer = self._http.ask("GET", path, query={"zip": "true"}, allow=(404, 500), limit=PICTURES)
        if answer.status != 200:
            return Failed(f"done, but the server cannot give the picture ({answer.status}): {UPDATE}")
        try:
            with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
                found = []
                for entry in archive.infolist()[:100]:
                    with archive.open(entry) as stream:  # the declared size is only a claim
                        found.append(picture(stream.read(LARGEST + 1), ""))
            return without_grid(found) or Failed(f"done, but without a picture: {UPDATE}")
        except NoPicture as wrong:
            return Failed(str(wrong))
        except (zipfile.BadZipFile, EOFError, OSError, ValueError, RuntimeError, NotImplementedError):
            raise Again(f"{self._http.url} answered {path} with a broken zip file") from None

    def state(self) -> Queue:
        path = f"{ROOT}/queue"
        answer = self._http.table("GET", path, query={"limit": 20, "offset": 0}, limit=PICTURES)
        rows = answer.get("pending_tasks")
        if not isinstance(rows, list):
            raise Again(f"{self._http.url} answered {path} without a list of tasks")
        ids = tuple(str(row.get("id")) for row in rows if isinstance(row, dict))
        total, current = answer.get("total_pending_tasks"), answer.get("current_task_id")
        total = total if isinstance(total, int) else len(ids)
        return Queue(str(current) if current else None, answer.get("paused") is True, ids, total)

    def resume(self) -> None:
        """Unpause and kick the queue: it is also what wakes one that has overslept its next task."""
        self._http.ask("POST", f"{ROOT}/queue/resume")

    def cancel(self, task_id: str) -> None:
        """Our own task is gone from the queue; one that is not there any more is fine."""
        answer = self._http.ask("DELETE", f"{ROOT}/task/{task_id}", allow=(404, 500))
        if answer.status != 200 and self._task(task_id):  # an unknown id is a 500 too
            raise Again(f"{self._http.url} did not cancel task {task_id} ({answer.status})")

    def _task(self, task_id: str) -> dict[str, Any]:
        """The task's row, {} where there is none."""
        found = self._http.table("GET", f"{ROOT}/task/{task_id}", limit=PICTURES).get("data")
        return found if isinstance(found, dict) else {}

    def _checked(self, task_id: object, path: str) -> str:
        """An id becomes part of addresses, so not every text can be one."""
        if isinstance(task_id, str) and ID.fullmatch(task_id):
            return task_id
        raise Again(f"{self._http.url} answered {path} without a task id")


def _params(task: dict[str, Any]) -> dict[str, Any]:
    found = task.get("params")
    if isinstance(found, str):
        try:
            found = json.loads(found)
        except (ValueError, RecursionError):
            found = None
    return found if isinstance(found, dict) else {}
