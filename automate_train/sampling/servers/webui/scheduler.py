"""The agent scheduler's queue: put pictures in, ask for them, take our own out.

Covers: its routes, and which of its answers is a success. The routes that act on everybody's tasks (clear,
requeue-failed) are not used. Not: how often to ask, when to wake a queue that stands still (`sampling.queue_watch`).
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from ..png import LARGEST
from ..protocol import Failed, Picture, Refused, Unavailable
from .drawn import pictures
from .http import MIB, Http, TooLarge

ROOT = "/agent-scheduler/v1"
WAITING = f"{ROOT}/queue"
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
class Queue:
    current: str | None
    """Our task's id only in older WebUIs; newer ones have a text of their own, from which nothing can be concluded."""
    paused: bool
    pending_ids: tuple[str, ...]
    """The first ones (at most 20), everybody's."""
    total: int
    """How many wait, everybody's."""


class Scheduler:
    def __init__(self, http: Http) -> None:
        self._http = http
        self._old_results = False

    def queue(self, payload: dict[str, Any]) -> str:
        """The new task's id. After `Unavailable` the task may exist: `find` it before sending it again."""
        path = f"{ROOT}/queue/txt2img"
        try:
            answer = self._http.table("POST", path, json=payload)
        except Unavailable as error:
            if "not found script" in str(error).lower():
                raise Refused(str(error)) from None
            raise
        return self._checked(answer.get("task_id"), path)

    def find(self, text: str, seed: int, known: Collection[str] = ()) -> str | None:
        """The id of a task with `text` in its prompt and this seed, none of `known`: first among those that wait, then
        in the history. Give the whole prompt where several prompts share a name and a seed."""
        for path, key in ((WAITING, "pending_tasks"), (f"{ROOT}/history", "tasks")):
            for task in self._pages(path, key):
                params = _params(task)
                if text in str(params.get("prompt", "")) and params.get("seed") == seed and task.get("id") not in known:
                    return self._checked(task.get("id"), path)
        return None

    def waiting_with(self, text: str) -> list[str]:
        """The ids of the tasks that wait with `text` in their prompts."""
        rows = self._pages(WAITING, "pending_tasks")
        return [self._checked(row.get("id"), WAITING) for row in rows if text in str(_params(row).get("prompt", ""))]

    def _pages(self, path: str, key: str) -> Iterator[dict[str, Any]]:
        for page in range(PAGES):
            query = {"limit": PAGE, "offset": page * PAGE}
            rows = self._http.table("GET", path, query=query, limit=PICTURES).get(key)
            yield from (row for row in rows or () if isinstance(row, dict)) if isinstance(rows, list) else ()
            if not isinstance(rows, list) or len(rows) < PAGE:
                return

    def result(self, task_id: str) -> Waiting | Failed | list[Picture]:
        """What has become of a task. Only pictures are a success: `success: true` with nothing in it is not."""
        try:
            return self._result(task_id)
        except TooLarge as error:  # the fault of this picture, not of the server
            return Failed(str(error))

    def _result(self, task_id: str) -> Waiting | Failed | list[Picture]:
        status, answer = self._results(task_id)
        if answer is None:  # 500: old schedulers answer it for ever without infotext, so look whether the task is done
            if self._task(task_id).get("status") != "done":
                raise Unavailable(f"{self._http.url} answered for the results of task {task_id} with {status}")
            return self._zipped(task_id)
        data, message = answer.get("data"), self._http.says(answer.get("message", ""))
        if answer.get("success") is True:
            if not isinstance(data, list) or not data:
                return Failed("done, but its pictures are gone from the server's disk")
            each = [entry if isinstance(entry, dict) else {} for entry in data]
            return pictures((one.get("image"), one.get("infotext")) for one in each)
        if message in ("Task is pending", "Task is running"):
            return Waiting(message.removeprefix("Task is "))
        if message in ("Task is failed", "Task is interrupted"):
            why = self._http.says(self._task(task_id).get("result") or "")
            state = message.removeprefix("Task is ")
            reason = f"{state}: {why or 'the server gives no reason (often an unknown sampler_name)'}"
            return Failed(reason, out_of_memory="out of memory" in why.lower())
        return Failed(message or "the server gives neither a picture nor a reason")

    def _results(self, task_id: str) -> tuple[int, dict[str, Any] | None]:
        """(status, the answer, or None after a 500), from the newer address or, where there is none, the older."""
        for old in (self._old_results, not self._old_results):
            path = self._path(task_id, old)
            answer = self._http.ask("GET", path, allow=(404, 500), limit=PICTURES)
            if answer.status != 404:
                self._old_results = old
                return answer.status, None if answer.status == 500 else self._http.parsed(answer, path)
        raise Refused(f"{self._http.url} answers 404 for {path}: is the agent scheduler still installed?")

    def _path(self, task_id: str, old: bool) -> str:
        return f"{ROOT}/results/{task_id}" if old else f"{ROOT}/task/{task_id}/results"

    def _zipped(self, task_id: str) -> Failed | list[Picture]:
        path = self._path(task_id, self._old_results)
        answer = self._http.ask("GET", path, query={"zip": "true"}, allow=(404, 500), limit=PICTURES)
        if answer.status != 200:
            return Failed(f"done, but the server cannot give the picture ({answer.status}): {UPDATE}")
        try:
            with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
                found = pictures((_unpacked(archive, entry), "") for entry in archive.infolist()[:100])
            return found or Failed(f"done, but without a picture: {UPDATE}")
        except (zipfile.BadZipFile, EOFError, OSError, ValueError, RuntimeError, NotImplementedError):
            raise Unavailable(f"{self._http.url} answered {path} with a broken zip file") from None

    def state(self) -> Queue:
        answer = self._http.table("GET", WAITING, query={"limit": 20, "offset": 0}, limit=PICTURES)
        rows = answer.get("pending_tasks")
        if not isinstance(rows, list):
            raise Unavailable(f"{self._http.url} answered {WAITING} without a list of tasks")
        ids = tuple(str(row.get("id")) for row in rows if isinstance(row, dict))
        total, current = answer.get("total_pending_tasks"), answer.get("current_task_id")
        total = total if isinstance(total, int) else len(ids)
        return Queue(str(current) if current else None, answer.get("paused") is True, ids, total)

    def resume(self) -> None:
        """Unpause the queue, and start its runner: a task that was queued while the runner was about to end stays in
        the queue until then."""
        self._http.ask("POST", f"{ROOT}/queue/resume")

    def cancel(self, task_id: str) -> None:
        """Our own task is taken out of the queue; fine where it is not there any more."""
        answer = self._http.ask("DELETE", f"{ROOT}/task/{task_id}", allow=(404, 500))
        if answer.status != 200 and self._task(task_id):  # an unknown id is a 500 too
            raise Unavailable(f"{self._http.url} did not cancel task {task_id} ({answer.status})")

    def _task(self, task_id: str) -> dict[str, Any]:
        """The task's row, {} where there is none."""
        found = self._http.table("GET", f"{ROOT}/task/{task_id}", limit=PICTURES).get("data")
        return found if isinstance(found, dict) else {}

    def _checked(self, task_id: object, path: str) -> str:
        """An id becomes part of addresses, so not every text can be one."""
        if isinstance(task_id, str) and ID.fullmatch(task_id):
            return task_id
        raise Unavailable(f"{self._http.url} answered {path} without a task id")


def _unpacked(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    with archive.open(entry) as stream:
        return stream.read(LARGEST + 1)  # the size that the archive declares is only a claim


def _params(task: dict[str, Any]) -> dict[str, Any]:
    found = task.get("params")
    if isinstance(found, str):
        try:
            found = json.loads(found)
        except (ValueError, RecursionError):
            found = None
    return found if isinstance(found, dict) else {}
