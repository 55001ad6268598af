"""The program that measures checkpoints, by the trainer's own Python: standard library only, and nothing of ours.

Covers: the base model loaded once, then one checkpoint after the other. `argv`: a measure.json, whose `module` is the
path of a file with a class `Measure(setup, pictures)` that has `scores(checkpoint, items)`. Standard input, one JSON
object a line: first `{"pictures": [{"name", "path", "caption"}]}`, then `{"checkpoint": path, "items": [names]}` ("":
the base without a LoRA). Standard output: `{"ready": true}`, `{"item", "score"}` for each item, `{"done": true}`;
`{"error": words}` in place of the last. Whatever else is printed goes to console.log in the current folder. When the
input ends, so does the program, at once: who asked has ended.
Not: which checkpoints are measured (`judging`), the model (the module).
"""

from __future__ import annotations

import importlib.util
import json
import os
import queue
import sys
import threading
from types import ModuleType
from typing import Any


def main(path: str) -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    console = os.open("console.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    for fd in (1, 2):
        os.dup2(console, fd)
    requests: queue.Queue[dict[str, Any]] = queue.Queue()
    threading.Thread(target=_read, args=(requests,), daemon=True).start()

    def answer(**words: object) -> None:
        try:
            print(json.dumps(words), file=answers, flush=True)
        except OSError:
            os._exit(0)

    with open(path, encoding="utf-8") as file:
        setup = json.load(file)
    try:
        measure = _module(setup["module"]).Measure(setup, requests.get()["pictures"])
    except BaseException as error:
        answer(error=_words(error))
        raise
    answer(ready=True)
    while True:
        request = requests.get()
        try:
            for item, score in measure.scores(request["checkpoint"], request["items"]):
                answer(item=item, score=score)
        except Exception as error:
            import traceback

            traceback.print_exc()
            answer(error=_words(error))
        else:
            answer(done=True)


def _read(requests: queue.Queue[dict[str, Any]]) -> None:
    for line in sys.stdin:
        requests.put(json.loads(line))
    os._exit(0)


def _module(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location("measure_model", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".split("\n")[0][:300]


if __name__ == "__main__":
    # Python puts a script's folder first: our modules must not stand for the trainer's own of the same name.
    sys.path[:] = [each for each in sys.path if os.path.abspath(each) != os.path.dirname(os.path.abspath(__file__))]
    main(sys.argv[1])
