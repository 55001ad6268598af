"""The program that measures checkpoints, seen from here: started, asked, listened to.

Covers: the folder that it is told of (`measure/<name>` in the sweep's), one checkpoint after the other, what it said
before it broke. Not: which checkpoints (`planner`), the program itself (`trainers/measure_program`).
"""

from __future__ import annotations

import json
import os
import select
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ..errors import printable
from ..machine.child_process import ChildProcess
from ..store.files import is_number, open_regular, write
from ..store.layout import SweepFolder
from .device import Held
from .pictures import Picture
from .planner import Measure, Task

SILENT_SECONDS = 1800.0
"""Without an answer and without a line in its console after which the program counts as hung. SDXL on a slow CPU takes
minutes for a picture, and a base on a slow disk takes minutes to load."""


class Broken(Exception):
    """The program cannot go on; the text says why."""


class Unmeasurable(Exception):
    """A checkpoint cannot be measured; the text says why."""


class Measurer:
    def __init__(self, folder: SweepFolder, measure: Measure, pictures: Sequence[Picture], held: Held) -> None:
        """`Broken` when it cannot be started."""
        self.name, self.folder = measure.name, folder.measure / measure.name
        self._said: list[str] = []
        self._answers: deque[Mapping[str, object]] = deque()
        self.folder.mkdir(parents=True, exist_ok=True)
        for name, text in measure.launch.files.items():
            write(self.folder / name, text)
        self._console = self.folder / "console.log"
        self._begin = self._written_bytes = self._console_size()
        visible = {"CUDA_VISIBLE_DEVICES": held.visible, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
        environment = {**os.environ, **measure.launch.env, **visible}
        try:
            self._child = ChildProcess(
                list(measure.launch.argv), environment=environment, piped=True, nice=True, cwd=self.folder,
                keeps=held.reservation,
            )  # fmt: skip
        except OSError as error:
            raise Broken(f"{measure.launch.argv[0]} cannot be started: {error.strerror}") from None
        self._child.tell(json.dumps({"pictures": [each._asdict() for each in pictures]}))
        self._is_ready = False

    def wait_until_ready(self) -> None:
        """Until the base is loaded. `Broken`."""
        while not self._is_ready:
            told = self._next()
            if "error" in told:
                raise Broken(str(told["error"]))
            self._is_ready = "ready" in told

    def scores(self, task: Task) -> Iterator[tuple[str, float]]:
        """(picture, error) one after the other. `Unmeasurable`, `Broken`."""
        self._child.tell(json.dumps({"checkpoint": task.path, "items": task.items}))
        finite, missing = True, set(task.items)
        while "done" not in (told := self._next()):
            if "error" in told:
                raise Unmeasurable(str(told["error"]))
            item, score = told.get("item"), told.get("score")
            if is_number(score) and item in task.items:
                missing.discard(str(item))
                yield str(item), float(score)
            else:
                finite = False
        if not finite:
            raise Unmeasurable("its error is not a finite number")
        if missing:
            raise Unmeasurable(f"the program that measures has left out {', '.join(sorted(missing))}")

    def _next(self) -> Mapping[str, object]:
        """Its next answer, waited for. What is no answer is kept: a Python that does not start says why."""
        while not self._answers:
            for line in self._child.lines():
                try:
                    told = json.loads(line)
                except ValueError:
                    told = None
                if isinstance(told, dict):
                    self._answers.append(told)
                else:
                    self._said.append(printable(line))
            if self._answers:
                break
            if (code := self._child.exit_code) is not None:
                how = f"signal {-code}" if code < 0 else f"exit code {code}"
                raise Broken(f"the program that measures has ended ({how}): {self._last_words()}")
            readable, _, _ = select.select(self._child.outputs, [], [], SILENT_SECONDS)
            before, self._written_bytes = self._written_bytes, self._console_size()
            if not readable and self._written_bytes == before:
                hung = f"the program that measures has said nothing for {SILENT_SECONDS / 60:g} minutes"
                raise Broken(f"{hung}: {self._last_words()}")
        return self._answers.popleft()

    def _last_words(self) -> str:
        said = [*self._said, *_written(self._console, self._begin)]
        return f"{said[-1]} (log: {self._console})" if said else f"log: {self._console}"

    def _console_size(self) -> int:
        return self._console.stat().st_size if self._console.exists() else 0

    def close(self) -> None:
        self._child.stop(0.0)
        self._child.close()
        self._child.poll()  # kills one that does not end
        self._child.wait()


def _written(console: Path, begin: int) -> list[str]:
    """The lines since this start."""
    try:
        with open_regular(console) as file:
            file.seek(max(begin, console.stat().st_size - 64 * 1024))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    return [shown for line in text.split("\n") if (shown := printable(line.rsplit("\r", 1)[-1]).strip())]
