"""The agent scheduler's queue: a database, a runner thread with its last deaf sleep, states that never say running."""

import json
import sqlite3
import threading
import time
import uuid
from pathlib import Path

SCHEMA = """create table if not exists tasks (place integer primary key autoincrement, id text unique, status text,
    params text, result text, created real, pictures text)"""


class Tasks:
    def __init__(self, home: Path, settings, drawing, faults) -> None:
        self._settings, self._drawing, self._faults = settings, drawing, faults
        self._outputs = home / "outputs"
        self._outputs.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._db = sqlite3.connect(home / "queue.sqlite", check_same_thread=False, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        self._db.execute(SCHEMA)
        self.paused = False
        self.current: str | None = None  # the task that runs
        self.stuck: str | None = None  # stall 3: what current_task_id says for ever
        self._runner: threading.Thread | None = None
        self.ran_empty = 0  # how often nothing was left to do

    def sql(self, text: str, *values) -> list[sqlite3.Row]:
        with self._lock:
            return self._db.execute(text, values).fetchall()

    def add(self, params: dict) -> str:
        task_id = str(uuid.uuid4())
        values = (task_id, "pending", json.dumps(params), time.time())
        self.sql("insert into tasks (id, status, params, created) values (?, ?, ?, ?)", *values)
        self.kick()
        return task_id

    def kick(self) -> None:
        """Start the runner; one that lives, even in its last sleep, is "already started"."""
        with self._lock:
            if self.paused or self.runs():
                return
            self._runner = threading.Thread(target=self._run, daemon=True)
            self._runner.start()

    def runs(self) -> bool:
        return self._runner is not None and self._runner.is_alive()

    def _run(self) -> None:
        busy = False
        while not self.paused:
            waiting = self.sql("select * from tasks where status = 'pending' order by place limit 1")
            if not waiting and not busy:
                return
            if not waiting:
                self.ran_empty += 1
                time.sleep(self._settings.last_sleep)  # what comes now is not seen, and the kick with it is lost
                return
            while self.stuck:
                time.sleep(0.1)
            self._do(waiting[0])
            busy = True

    def _do(self, row: sqlite3.Row) -> None:
        fault = self._faults.of_task() or {}
        what, task_id = fault.get("task"), row["id"]
        self.current = task_id
        if what == "stuck":
            self.stuck = self.shown()
        if unknown := self._drawing.unknown(json.loads(row["params"])):
            self._end(task_id, "failed", f"ValueError: LoRA {unknown[0]} not found")
        elif what in ("empty-reason", "fail", "oom", "stuck"):
            reason = {"empty-reason": "", "oom": "CUDA out of memory. Tried to allocate 2.00 GiB"}
            self._end(task_id, "failed", reason.get(what, fault.get("reason", "")))
            self.paused = self.paused or what == "oom"
        else:
            made = self._drawing.draw(json.loads(row["params"]), task_id, fault)
            kept = []
            for number, (data, text) in enumerate(made):
                path = self._outputs / f"{task_id}-{number}.png"
                path.write_bytes(data)
                kept.append([path.name, text if self._settings.infotext else None])
                if what == "gone":
                    path.unlink()
            self._end(task_id, "done", json.dumps({"images": len(kept)}), kept)
        self.current = None

    def _end(self, task_id: str, status: str, result: str, pictures: list | None = None) -> None:
        values = (status, result, json.dumps(pictures or []), task_id)
        self.sql("update tasks set status = ?, result = ?, pictures = ? where id = ?", *values)

    def shown(self) -> str | None:
        """What current_task_id says: newer WebUIs tell their own id, which equals no task's."""
        if self.stuck or not self.current:
            return self.stuck
        return self.current if self._settings.current == "own" else f"task(txt2img-{self.current[:8]})"

    def status(self, row: sqlite3.Row) -> str:
        return "running" if row["status"] == "pending" and row["id"] == self.shown() else row["status"]

    def row(self, task_id: str) -> sqlite3.Row | None:
        found = self.sql("select * from tasks where id = ?", task_id)
        return found[0] if found else None

    def delete(self, task_id: str) -> bool:
        known = self.row(task_id) is not None
        self.sql("delete from tasks where id = ?", task_id)
        return known

    def pictures(self, row: sqlite3.Row) -> list[tuple[bytes, str | None]]:
        kept = [(self._outputs / name, text) for name, text in json.loads(row["pictures"] or "[]")]
        return [(path.read_bytes(), text) for path, text in kept if path.exists()]
