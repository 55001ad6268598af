"""Folding events into progress, and attempts into the history of a run."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automate_train.records import Event, Launch, Outcome, OutcomeKind, Resume, RunRecord
from automate_train.store.events import checkpoint_of, parse, read_events
from automate_train.store.history import Histories, RunHistory
from automate_train.store.journal import Journal
from automate_train.store.launch import write_attempt
from automate_train.store.layout import SweepFolder
from automate_train.store.progress import Progress, after
from automate_train.training.stop_rules import outcome_by_rules


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
    assert (progress.loss, progress.speed, progress.seconds_left) == (0.8, 2.0, 5.0)
    assert progress.checkpoint == "/a.safetensors"


def test_nan_is_counted_in_a_row():
    nan = Event(1.0, "metrics", {"step": 1, "loss": None, "nan": True})
    progress = fold(nan, nan)
    assert progress.nan_in_a_row == 2 and math.isnan(progress.loss or 0)
    assert after(progress, metrics(2.0, 3, 0.5)).nan_in_a_row == 0


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner), max_leaves=5
)


def test_one_nan_step_ends_no_run_although_the_average_stays_nan():
    """sd-scripts' recorder never gets rid of a NaN in its average; only the step's own loss counts."""
    bad = b'{"at": 1, "kind": "metrics", "step": 1, "loss": NaN, "average": NaN}\n'
    line = b'{"at": %d, "kind": "metrics", "step": %d, "loss": 0.5, "average": NaN}\n'
    later = b"".join(line % (step, step) for step in range(2, 9))
    progress = fold(*parse(bad + later))
    assert (progress.nan_in_a_row, progress.loss, progress.step) == (0, 0.5, 8)
    assert outcome_by_rules(progress, {}) is None


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["begin", "training", "metrics", "checkpoint", "trouble", "end", "?"]),
            st.dictionaries(
                st.sampled_from(
                    [
                        "step",
                        "loss",
                        "average",
                        "nan",
                        "epoch",
                        "epochs",
                        "total_steps",
                        "path",
                        "error",
                        "epoch_loss",
                        "epoch_nan_steps",
                    ]
                ),
                json_values,
            ),
        )
    )
)
def test_no_event_breaks_it(events: list[tuple[str, dict[str, object]]]):
    lines = [json.dumps({**data, "at": at, "kind": kind}) for at, (kind, data) in enumerate(events)]
    progress = fold(*parse("\n".join(lines).encode()))
    assert progress.epoch_loss is None or math.isfinite(progress.epoch_loss)
    assert progress.epoch_nan_steps >= 0 and (progress.seconds_left is None or progress.seconds_left >= 0)


# histories

EPOCH = 6
"""Steps of an epoch; the training has four."""


class Run:
    """A run whose attempts are made by hand: a checkpoint an epoch, two steps a second, loss 1 / step."""

    def __init__(self, home: Path) -> None:
        self.folder = SweepFolder(home, "p")
        self.folder.path.mkdir()
        self.journal = Journal(self.folder.journal)
        self.record = RunRecord("k", 0, 0, "p", "p", {}, {"trainer": "command"})
        self.clock = 1000.0

    def attempt(
        self, steps: range, kind: OutcomeKind | None, *, resumed: bool = False, uncounted: int = 0, nan_at: int = 0
    ) -> None:
        begun = self.journal.begin(self.record, (), self.clock)
        folder = self.folder.attempt(begun.folder)
        start = steps.start - 1
        launch = Launch(("x",), "/", resume=Resume("/state", start, uncounted) if resumed else None)
        write_attempt(folder, launch, self.record, (), self.clock)
        lines: list[dict[str, Any]] = [{"kind": "begin", "at": self.clock}]
        lines.append({"kind": "training", "at": self.clock + 1, "total_steps": 24, "epochs": 4})
        for step in steps:
            at, told = self.clock + 1 + (step - start) / 2, step - uncounted
            loss = {"loss": None, "nan": True} if step == nan_at else {"loss": 1 / step}
            lines.append({"kind": "metrics", "at": at, "step": told, "epoch": -(-step // EPOCH), **loss})
            if step % EPOCH == 0 and step - EPOCH >= start:
                lines.append(
                    {"kind": "metrics", "at": at, "step": told, "epoch_loss": 9 / step**2, "epoch_nan_steps": 1}
                )
            if step % EPOCH == 0:
                path = f"{folder.output}/p-{step // EPOCH:06d}.safetensors"
                lines.append({"kind": "checkpoint", "at": at, "path": path, "which": "epoch", "epoch": step // EPOCH,
                              "step": told})  # fmt: skip
        folder.events.write_text("".join(json.dumps(line) + "\n" for line in lines))
        for event in read_events(folder)[0] if kind is not None else ():  # as the loop does, at the latest at the end
            if (saved := checkpoint_of(event, begun.number)) is not None:
                self.journal.add_checkpoint(begun.id, saved)
        self.clock += 100
        if kind is not None:
            last = steps.stop - 1
            loss = math.nan if nan_at == last else 1 / last if last > start else None
            metrics = {"steps": last if last > start else 0, "seconds": len(steps) / 2, "loss": loss}
            if (whole := last // EPOCH * EPOCH) - EPOCH >= start:
                metrics |= {"epoch_loss": 9 / whole**2, "epoch_loss_step": whole, "epoch_nan_steps": 1}
            self.journal.end(begun, Outcome(kind), self.clock, metrics)

    def histories(self) -> list[RunHistory]:
        """The brief one and the full one, which must agree."""
        record = self.journal.record("k")
        assert record is not None
        histories = Histories(self.folder, self.journal, lambda record, attempt, cursor: read_events(attempt, cursor))
        return [histories.brief(record), histories.full(record)]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


def seen(history: RunHistory) -> tuple[Any, ...]:
    saved = [(each.epoch, each.step, each.attempt) for each in history.checkpoints]
    return history.attempts, history.progress.step, history.resumed_from, history.seconds, saved


def curve_steps(history: RunHistory) -> list[float]:
    """Of a curve that is bent at every step, so that none is thinned out."""
    return history.curves["loss"][0]


def test_a_run_that_began_and_ended(run: Run):
    run.attempt(range(1, 25), "succeeded")
    for history in run.histories():
        expected = [(epoch, epoch * EPOCH, 1) for epoch in (1, 2, 3, 4)]
        assert seen(history) == ((1,), 24, 0, 12.0, expected)
    assert curve_steps(history) == [*range(1, 25)] and history.curves["loss"][1][:2] == [1.5, 2.0]
    assert history.epoch_ends == {1: 6, 2: 12, 3: 18, 4: 24}
    assert history.curves["epoch_loss"][0] == [6, 12, 18, 24] and history.progress.epoch_loss_step == 24


def test_a_retried_run_is_its_newest_attempt(run: Run):
    run.attempt(range(1, 20), "failed")
    run.attempt(range(1, 8), None)
    for history in run.histories():
        assert seen(history) == ((2,), 7, 0, None, [(1, 6, 2)])
    assert curve_steps(history) == [*range(1, 8)]


@pytest.mark.parametrize("uncounted", [0, 12])
def test_a_run_that_was_resumed_twice_is_one_line(run: Run, uncounted: int):
    run.attempt(range(1, 16), "lost")
    run.attempt(range(13, 21), "cancelled", resumed=True, uncounted=uncounted)
    run.attempt(range(19, 25), "succeeded", resumed=True, uncounted=uncounted)
    for history in run.histories():
        expected = [(1, 6, 1), (2, 12, 1), (3, 18, 2), (4, 24, 3)]
        assert seen(history) == ((1, 2, 3), 24, 18, 7.5 + 4 + 3, expected)
        assert history.progress.total == 24 or history.curves == {}
    steps, times, _ = history.curves["loss"]
    assert steps == [*range(1, 25)] and times == sorted(times), "one curve, whose time goes on, too"


def epoch_losses(run: Run) -> list[tuple[float | None, int, int]]:
    found = [history.progress for history in run.histories()]
    return [(each.epoch_loss, each.epoch_loss_step, each.epoch_nan_steps) for each in found]


def test_the_loss_of_an_epoch_is_the_newest_whole_epoch_s(run: Run):
    run.attempt(range(1, 16), "lost")
    assert epoch_losses(run) == [(9 / 12**2, 12, 1)] * 2, "the third epoch was cut off by the kill"
    run.attempt(range(15, 18), "lost", resumed=True)
    assert epoch_losses(run) == [(9 / 12**2, 12, 1)] * 2, "nobody has seen all of the third"
    run.attempt(range(7, 9), "lost", resumed=True)
    assert epoch_losses(run) == [(None, 0, 0)] * 2, "the second is trained again"
    run.attempt(range(7, 21), "succeeded", resumed=True)
    assert epoch_losses(run) == [(9 / 18**2, 18, 1)] * 2
    run.attempt(range(1, 4), "succeeded")
    assert epoch_losses(run) == [(None, 0, 0)] * 2


def test_an_attempt_that_trains_everything_again_leaves_nothing_of_the_earlier(run: Run):
    run.attempt(range(1, 16), "lost")
    run.attempt(range(7, 9), "lost", resumed=True)
    run.attempt(range(1, 13), "succeeded")
    for history in run.histories():
        assert seen(history) == ((3,), 12, 0, 6.0, [(1, 6, 3), (2, 12, 3)])


def test_an_attempt_that_was_killed_before_its_first_step_replaces_nothing(run: Run):
    run.attempt(range(1, 16), "lost")
    run.attempt(range(13, 13), "lost", resumed=True)
    for history in run.histories():
        assert seen(history) == ((1,), 15, 0, 7.5, [(1, 6, 1), (2, 12, 1)])
    run.attempt(range(13, 25), "succeeded", resumed=True)
    for history in run.histories():
        assert seen(history)[:4] == ((1, 3), 24, 12, 7.5 + 6)


def test_the_only_attempt_counts_even_without_a_step(run: Run):
    run.attempt(range(1, 1), "failed")
    for history in run.histories():
        assert seen(history) == ((1,), 0, 0, 0.0, [])


def test_a_running_attempt_counts_from_its_start(run: Run):
    run.attempt(range(1, 16), "lost")
    run.attempt(range(13, 13), None, resumed=True)
    for history in run.histories():
        assert seen(history) == ((1, 2), 12, 12, 7.5, [(1, 6, 1), (2, 12, 1)])
        assert history.progress.total == 24 and history.progress.speed is None


def test_an_attempt_of_the_first_edition_that_nobody_saw_end(run: Run):
    """No outcome.json and no outcome in the journal: what it told counts."""
    run.attempt(range(1, 9), None)
    for history in run.histories():
        assert seen(history) == ((1,), 8, 0, None, [(1, 6, 1)])


def test_a_loss_that_is_nan_reaches_the_end_of_the_line(run: Run):
    run.attempt(range(1, 9), "failed", nan_at=8)
    for history in run.histories():
        assert math.isnan(history.progress.loss or 0)
    assert curve_steps(history) == [*range(1, 8)] and history.nan_steps == 1


def test_a_long_life_reads_only_what_is_new(run: Run):
    reads: list[int] = []

    def read(record: RunRecord, attempt: Any, cursor: int) -> Any:
        reads.append(cursor)
        return read_events(attempt, cursor)

    run.attempt(range(1, 9), None)
    histories = Histories(run.folder, run.journal, read)
    (record,) = run.journal.records()
    assert histories.brief(record).progress.step == 8
    events = run.folder.attempt(record.folder).events
    size = events.stat().st_size
    with events.open("a") as out:
        out.write('{"kind": "metrics", "at": 2000, "step": 9, "loss": 0.1}\n')
    assert histories.brief(record).progress.step == 9 and reads == [0, size]


def test_the_brief_history_of_ended_runs_reads_no_events(run: Run):
    run.attempt(range(1, 25), "succeeded")
    (record,) = run.journal.records()
    histories = Histories(run.folder, run.journal, lambda *_: pytest.fail("events were read"))
    assert histories.brief(record).progress.step == 24


def test_attempt_1_is_not_attempt_10(run: Run):
    for _ in range(9):
        run.attempt(range(1, 3), "failed")
    run.attempt(range(1, 8), "succeeded")
    for history in run.histories():
        assert seen(history) == ((10,), 7, 0, 3.5, [(1, 6, 10)])
