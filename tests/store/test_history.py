"""Folding events into progress; events are untrusted."""

from __future__ import annotations

import json
import math

from hypothesis import given
from hypothesis import strategies as st

from automate_train.records import Event
from automate_train.store.events import parse
from automate_train.store.history import Progress, after


def fold(*events: Event) -> Progress:
    progress = Progress()
    for event in events:
        progress = after(progress, event)
    return progress


def metrics(at: float, step: int, loss: float, **more: object) -> Event:
    return Event(at, "metrics", {"step": step, "loss": loss, **more})


def test_a_run_as_it_goes():
    progress = fold(
        Event(0.0, "begin", {"pid": 1}),
        Event(10.0, "training", {"total_steps": 20, "epochs": 2}),
        metrics(12.0, 4, 1.0, average=1.1),
        metrics(15.0, 10, 0.5, average=0.8),
        Event(15.0, "checkpoint", {"path": "/a.safetensors", "epoch": 1, "step": 10}),
    )
    assert (progress.step, progress.total, progress.epoch, progress.epochs) == (10, 20, 1, 2)
    assert (progress.loss, progress.mean_loss, progress.speed, progress.seconds_left) == (0.8, 0.75, 2.0, 5.0)
    assert progress.checkpoint == "/a.safetensors"


def test_nan_is_counted_in_a_row():
    nan = Event(1.0, "metrics", {"step": 1, "loss": None, "nan": True})
    progress = fold(nan, nan)
    assert progress.nan_in_a_row == 2 and math.isnan(progress.loss or 0)
    assert after(progress, metrics(2.0, 3, 0.5)).nan_in_a_row == 0


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner), max_leaves=5
)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["begin", "training", "metrics", "checkpoint", "trouble", "end", "?"]),
            st.dictionaries(
                st.sampled_from(["step", "loss", "average", "nan", "epoch", "epochs", "total_steps", "path", "error"]),
                json_values,
            ),
        )
    )
)
def test_no_event_breaks_it(events: list[tuple[str, dict[str, object]]]):
    lines = [json.dumps({**data, "at": at, "kind": kind}) for at, (kind, data) in enumerate(events)]
    progress = fold(*parse("\n".join(lines).encode()))
    assert progress.mean_loss is None or math.isfinite(progress.mean_loss)
    assert progress.losses >= 0 and (progress.seconds_left is None or progress.seconds_left >= 0)
