"""Faults that are switched on for the n-th request of a route.

    {"on": "POST /upload_lora_model", "what": "cut-after", "nth": 2, "times": 1}
`on` is "METHOD path" with * and ?, `nth` counts from 1 since the fault came, `times` -1 is for ever. What:
    error-before, error-after   500 JSON instead of obeying, or after having obeyed
    cut-before, cut-mid         the connection breaks before the body is read, or with half of the body read
    cut-after, cut-answer       obeyed, but no answer, or half of it
    html, status                "status" (502) with an HTML page or with JSON; not obeyed
    early                       "status" (413) as HTML and closed without reading the body, as a proxy does
    slow                        obeyed, answered after "seconds"; everybody waits with "block"
    answer                      200 with "json", not obeyed
Faults of tasks, for the n-th task that is drawn: {"task": "no-lora", "nth": 1} with no-lora, wrong-model, empty-reason,
fail (with "reason"), oom (pauses the queue), gone (pictures lost: data []), stuck (stall 3).
"""

import fnmatch
import threading


class Faults:
    def __init__(self) -> None:
        self._active: list[dict] = []
        self._lock = threading.Lock()

    def add(self, faults: list[dict]) -> None:
        with self._lock:
            self._active += [{"nth": 1, "times": 1, "seen": 0, **each} for each in faults]

    def clear(self) -> None:
        with self._lock:
            self._active.clear()

    def of_request(self, method: str, path: str) -> dict | None:
        return self._hit(lambda each: "on" in each and fnmatch.fnmatchcase(f"{method} {path}", each["on"]))

    def of_task(self) -> dict | None:
        return self._hit(lambda each: "task" in each)

    def _hit(self, matches) -> dict | None:
        """The first fault whose turn it is; all that match have seen this one."""
        with self._lock:
            found = None
            for each in filter(matches, self._active):
                each["seen"] += 1
                turn = each["seen"] - each["nth"]
                if found is None and turn >= 0 and (each["times"] < 0 or turn < each["times"]):
                    found = each
            return found
