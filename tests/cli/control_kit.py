"""What the tests of `stop`, `logs`, `retry` and sweeps in the background share: runs that wait, and what they see."""

from __future__ import annotations

import json
import time

HELD = ["/bin/sh", "-c", 'echo "run $0 begins"; touch "on-$0"; until [ -e go ]; do sleep 0.05; done; echo done', "{n}"]
"""Runs until the test makes the file `go`."""
ONCE = ["/bin/sh", "-c", '[ -e "good-$0" ] || { echo "no good-$0"; exit 3; }', "{n}"]
"""Fails until the test makes the file `good-<n>`."""


def until(fact, seconds: float = 30):
    deadline = time.monotonic() + seconds
    while not (found := fact()):
        assert time.monotonic() < deadline, "it never became true"
        time.sleep(0.02)
    return found


def states(automate_train) -> dict[int, str]:
    return {run["index"]: run["state"] for run in json.loads(automate_train("status", "out", "--json").stdout)["runs"]}
