"""Drawing through the agent scheduler's queue: put pictures in, ask for them, take our own out.

Covers: the part of `ImageServer` that is about drawing, the scheduler's routes, which of its answers is a success. The
routes that act on everybody's tasks (clear, requeue-failed) are not used. Not: how often to ask, when to wake a queue
that stands still (`sampling.queue_watch`).
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Collection, Iterator, Sequence

from ..png import LARGEST
from ..protocol import Failed, Picture, Progress, Refused, Ticket, Unavailable
from .drawn_pictures import picked
from .http import Http, TooLarge
from .txt2img import PICTURES

ROOT = "/agent-scheduler/v1"
WAITING = f"{ROOT}/queue"
PAGE, PAGES = 50, 40
ID = re.compile(r"[A-Za-z0-9_-]{1,80}")
UPDATE = "update the agent scheduler, or enable the infotext in the WebUI's settings"


class Scheduler:
    def __init__(self, http: Http) -> None:
        self._http = http
        self._old_results = False

    def draw(self, body: dict[str, object], limit_s: float = 0.0) -> Ticket | Picture | Failed:
        path = f"{ROOT}/queue/txt2img"
        try:
            answer = self._http.table("POST", path, json=body)
        except Unavailable as error:
            if "not found script" in str(error).lower():
                raise Refused(str(error)) from None
            raise
        return self._checked(answer.get("task_id"), path)

    def find(self, body: dict[str, object], known: Collection[Ticket] = ()) -> Ticket | None:
        """First among the tasks that wait, then in the history."""
        for path, key in ((WAITING, "pending_tasks"), (f"{ROOT}/history", "tasks")):
            for task in self._pages(path, key):
                params = _params(task)
                same = str(body["prompt"]) in str(params.get("prompt", "")) and params.get("seed") == body["seed"]
                if same and task.get("id") not in known:
                    return self._checked(task.get("id"), path)
        return None

    def _pages(self, path: str, key: str) -> Iterator[dict[str, object]]:
        for page in range(PAGES):
            query = {"limit": PAGE, "offset": page * PAGE}
            rows = self._http.table("GET", path, query=query, limit=PICTURES).get(key)
            yield from (row for row in rows or () if isinstance(row, dict)) if isinstance(rows, list) else ()
            if not isinstance(rows, list) or len(rows) < PAGE:
                return

    def collect(self, body: dict[str, object], ticket: Ticket) -> Picture | Failed | None:
        try:
            return self._result(body, ticket)
        except TooLarge as error:  # the fault of this picture, not of the server
            return Failed(str(error))

    def _result(self, body: dict[str, object], task_id: str) -> Picture | Failed | None:
        """Only pictures are a success: `success: true` with nothing in it is not."""
        status, answer = self._results(task_id)
        if answer is None:  # 500: old schedulers answer it for ever without infotext, so look whether the task is done
            if self._task(task_id).get("status") != "done":
                raise Unavailable(f"{self._http.url} answered for the results of task {task_id} with {status}")
            return self._zipped(body, task_id)
        data, message = answer.get("data"), self._http.says(answer.get("message", ""))
        if answer.get("success") is True:
            if not isinstance(data, list) or not data:
                return Failed("done, but its pictures are gone from the server's disk")
            each = [entry if isinstance(entry, dict) else {} for entry in data]
            return picked(((one.get("image"), one.get("infotext")) for one in each), body)
        if message in ("Task is pending", "Task is running"):
            return None
        if message in ("Task is failed", "Task is interrupted"):
            why = self._http.says(self._task(task_id).get("result") or "")
            state = message.removeprefix("Task is ")
            reason = f"{state}: {why or 'the server gives no reason (often an unknown sampler_name)'}"
            return Failed(reason, out_of_memory="out of memory" in why.lower())
        return Failed(message or "the server gives neither a picture nor a reason")

    def _results(self, task_id: str) -> tuple[int, dict[str, object] | None]:
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

    def _zipped(self, body: dict[str, object], task_id: str) -> Picture | Failed:
        path = self._path(task_id, self._old_results)
        answer = self._http.ask("GET", path, query={"zip": "true"}, allow=(404, 500), limit=PICTURES)
        if answer.status != 200:
            return Failed(f"done, but the server cannot give the picture ({answer.status}): {UPDATE}")
        try:
            with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
                entries = archive.infolist()[:100]
                if not entries:
                    return Failed(f"done, but without a picture: {UPDATE}")
                return picked(((_unpacked(archive, entry), "") for entry in entries), body)
        except (zipfile.BadZipFile, EOFError, OSError, ValueError, RuntimeError, NotImplementedError):
            raise Unavailable(f"{self._http.url} answered {path} with a broken zip file") from None

    def progress(self, tickets: Sequence[Ticket]) -> Progress:
        """Of the pending tasks the answer has the first 20, everybody's. `current` is our ticket only in older WebUIs;
        newer ones have a text of their own there, from which nothing can be concluded."""
        answer = self._http.table("GET", WAITING, query={"limit": 20, "offset": 0}, limit=PICTURES)
        rows = answer.get("pending_tasks")
        if not isinstance(rows, list):
            raise Unavailable(f"{self._http.url} answered {WAITING} without a list of tasks")
        pending = [str(row.get("id")) for row in rows if isinstance(row, dict)]
        total, current = answer.get("total_pending_tasks"), answer.get("current_task_id")
        total = total if isinstance(total, int) else len(pending)
        finished, waits = [], False
        for ticket in tickets:
            if ticket in pending:
                waits = total > len(pending)  # what we queued after it waits too, on a page that we do not see
            elif not waits and ticket != current:
                finished.append(ticket)
        return Progress(tuple(finished), total, str(current) if current else None, answer.get("paused") is True)

    def wake(self) -> None:
        """Unpause the queue, and start its runner: a task that was queued while the runner was about to end stays in
        the queue until then."""
        self._http.ask("POST", f"{ROOT}/queue/resume")

    def withdraw(self, lora: str, tickets: Collection[Ticket]) -> None:
        lost = []
        if lora and "" in tickets:
            rows = self._pages(WAITING, "pending_tasks")
            lost = [self._checked(row.get("id"), WAITING) for row in rows if lora in str(_params(row).get("prompt"))]
        for ticket in {*tickets, *lost} - {""}:
            answer = self._http.ask("DELETE", f"{ROOT}/task/{ticket}", allow=(404, 500))
            if answer.status != 200 and self._task(ticket):  # an unknown id is a 500 too
                raise Unavailable(f"{self._http.url} did not cancel task {ticket} ({answer.status})")

    def _task(self, task_id: str) -> dict[str, object]:
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


def _params(task: dict[str, object]) -> dict[str, object]:
    found = task.get("params")
    if isinstance(found, str):
        try:
            found = json.loads(found)
        except (ValueError, RecursionError):
            found = None
    return found if isinstance(found, dict) else {}
