"""What a sweep says while it runs: lines, and the live table."""

from __future__ import annotations

import io
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from display_kit import Sweep

from automate_train.config.masking import Masker
from automate_train.display import summary
from automate_train.display.live import LiveTable, choose, sweep_seconds_left
from automate_train.display.plain import Plain, duration
from automate_train.records import Attempt, Device, Outcome, RunRecord
from automate_train.store.journal import Journal
from automate_train.store.layout import AttemptFolder, SweepFolder
from automate_train.store.progress import Progress
from automate_train.trainers import command
from automate_train.training.running_attempt import RunningAttempt


def running(number: int = 1, began: float = 0.0, progress: Progress = Progress(), id: int = 1) -> RunningAttempt:  # noqa: B008
    attempt = Attempt(id, "k1", number, f"001-p/attempt-{number}", ("GPU-a",), "1 2 b", 1.0)
    return RunningAttempt(attempt, Sweep.record(1), AttemptFolder(Path("/x")), command, "1 2 b", began, {}, progress)


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """What was printed, without the times."""
    return "\n".join(line[11:] for line in capsys.readouterr().out.splitlines())


def test_a_start_says_where_and_from_which_step(capsys):
    display = Plain()
    first = running()
    first.device_labels = "GPU 0"
    display.started(first)
    display.started(running(2))
    display.started(running(2, progress=Progress(12, step=12, total=24)))
    display.started(running(3, progress=Progress(12, step=12)))
    assert said(capsys).splitlines() == [
        "run 1 p_lr=1e-4: started on GPU 0",
        "run 1 p_lr=1e-4: started (attempt 2)",
        "run 1 p_lr=1e-4: started (attempt 2, goes on from step 12 of 24)",
        "run 1 p_lr=1e-4: started (attempt 3, goes on from step 12)",
    ]


def test_an_end_says_how(capsys):
    display = Plain()
    display.ended(running(progress=Progress(loss=0.12345)), Outcome("succeeded", 0), 61.0)
    display.ended(running(), Outcome("failed", 1, "out of memory"), 5.0)
    assert said(capsys).splitlines() == [
        "run 1 p_lr=1e-4: succeeded after 1 min 1 s, loss 0.1235",
        "run 1 p_lr=1e-4: failed after 5.0 s: out of memory",
    ]
    assert display.durations == [61.0]


def test_a_line_is_one_write(monkeypatch):
    """Two threads whose texts and line ends are written apart make one line of both."""
    written: list[str] = []
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(write=written.append, flush=lambda: None))
    Plain().say("run 1 waits")
    assert [each[10:] for each in written if each] == [" run 1 waits\n"]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (9.96, "10.0 s"), (48.2, "48 s"), (725, "12 min 5 s"), (11_040, "3 h 4 min")]
)
def test_a_length_of_time(seconds: float, text: str):
    assert duration(seconds) == text


def test_the_time_left():
    now = time.monotonic()
    loading = running(began=now - 10)
    assert sweep_seconds_left([loading], [], 3, 1) is None
    half = running(began=now - 100, progress=Progress(step=50, total=100, training_since=0.0, at=50.0))
    assert sweep_seconds_left([half], [], 2, 1) == pytest.approx(50 + 2 * 150, abs=1)
    assert sweep_seconds_left([loading], [100.0], 4, 2) == pytest.approx(245, abs=1), "by what finished runs took"
    resumed = Progress(12, step=18, total=24, training_since=100.0, at=103.0)
    assert resumed.speed == 2.0 and resumed.seconds_left == 3.0, "steps that others did are no speed"


def test_the_live_table_shows_devices_and_runs(monkeypatch):
    from rich.console import Console

    going = running(progress=Progress(12, step=18, total=24, epochs=4, epoch=3, training_since=0.0, at=3.0, loss=0.5))
    table = LiveTable(1)
    out = io.StringIO()
    devices = [Device("GPU-a", "GPU 0", 2 << 30), Device("GPU-b", "GPU 1", 0, lost=True)]
    Console(file=out, width=100).print(table._drawing([going, running(id=2)], devices, 3))
    words = " ".join(out.getvalue().split())
    assert "GPU 0 2.0 GiB run 1, run 1" in words
    assert "1 p_lr=1e-4 3/4 18/24 0.5 2/s 3.0 s" in words and "1 p_lr=1e-4 loading" in words
    assert "GPU 1 lost" in words and "2 running, 3 to come" in words


def test_the_live_table_says_that_a_training_waits_for_its_samples():
    from rich.console import Console

    waits = Progress(12, step=18, total=24, training_since=0.0, at=3.0, loss=0.5, sample_wait="waits for r-000001")
    out = io.StringIO()
    Console(file=out, width=100).print(LiveTable(1)._drawing([running(progress=waits)], [], 0))
    words = " ".join(out.getvalue().split())
    assert "18/24 0.5 2/s waits for samples 1 running" in words, "in the place of the time left"


def test_it_is_drawn_when_something_has_changed(monkeypatch):
    table = LiveTable(1)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    going = running()
    assert table.due([going])
    table.draw([going], [], 0)
    assert not table.due([going]) and table.due([going, running(id=2)])
    table.close()


def test_lines_where_there_is_no_terminal(monkeypatch):
    assert type(choose(False, 1, Masker())) is Plain
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert type(choose(False, 1, Masker())) is LiveTable and type(choose(True, 1, Masker())) is Plain


def test_a_display_that_cannot_be_written_to_is_silent(monkeypatch):
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys, "stdout", Full())
    for display in (Plain(), LiveTable(1)):
        display.say("x")
        display.draw([running()], [], 0)
        display.close()


def test_the_summary_tells_of_trackers_that_failed_in_this_session(tmp_path):
    folder = SweepFolder(tmp_path, "p")
    folder.path.mkdir()
    journal = Journal(folder.journal)
    for index, trouble in enumerate(["tracker old: gone", "tracker aim: no server", "tracker aim: no server", ""]):
        record = RunRecord(f"{index:016x}", index, index, f"p_n={index}", f"p-{index}", {}, {})
        metrics = {"trouble": trouble} if trouble else {}
        journal.end(journal.begin(record, (), 1.0), Outcome("succeeded", 0), 2.0, metrics)
    shown = list(summary.lines(folder, journal, 1.0, ("automate-train",), None, 2, Masker()))
    journal.close()
    assert [line for line in shown if "tracker" in line] == ["hook: tracker aim: no server (2 runs)"]
