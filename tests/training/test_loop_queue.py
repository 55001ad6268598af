"""Histories of the loop with an engine that has a queue: how many wait, what is withdrawn, an attempt that goes on."""

from __future__ import annotations

from pathlib import Path

from test_loop import World, history, slots  # noqa: F401

from automate_train.records import Launch
from automate_train.store.journal import Journal
from automate_train.store.launch import write_attempt
from automate_train.store.layout import AttemptFolder


class Queue(World):
    """`room` attempts run at a time; the others wait. Run n of `preempted` is put back once, after that many seconds,
    and its job goes on in another attempt."""

    def __init__(self, seconds: dict[int, float], codes: dict[int, int | list[int]], room: int) -> None:
        super().__init__(seconds, codes)
        self.room = room
        self.queue: list[tuple[str, Launch, AttemptFolder]] = []
        self.most = 0
        self.preempted: dict[int, float] = {}
        self.on: dict[str, tuple[AttemptFolder, str]] = {}
        self.withdrawn: list[str] = []

    def capacity(self) -> None:
        return None

    def start(self, launch, folder, devices):
        self.queue.append((f"job {len(self.queue)}-{launch.argv[0]}-{self.time}", launch, folder))
        self.most = max(self.most, len(self.queue))
        return self.queue[-1][0]

    def _begin(self) -> bool:
        before = len(self.queue)
        while self.queue and len(self.ends) < self.room:
            handle, launch, folder = self.queue.pop(0)
            started = super().start(launch, folder, ())
            end, folder, code = self.ends.pop(started)
            index = int(launch.argv[0])
            if index in self.preempted:
                end, code = self.time + self.preempted.pop(index), 143
                self.on[handle] = (AttemptFolder(folder.path.with_name("attempt-2")), f"{handle} again")
            self.ends[handle] = (end, folder, code)
        return len(self.queue) < before

    def wait(self, seconds, wake_on=()):
        if self.withdrawn:
            gone, self.withdrawn = self.withdrawn, []
            return dict.fromkeys(gone)
        if self._begin():
            return {}
        ended = super().wait(seconds, wake_on)
        for handle in ended:
            if handle in self.on:
                folder, again = self.on[handle]
                write_attempt(folder, Launch(("0",), "/"))
                self.ends[again] = (self.time + 1, folder, 0)
        return ended

    def waiting(self):
        return {handle: "Priority" for handle, _, _ in self.queue}

    def withdraw(self, handle):
        self.withdrawn += [each for each, _, _ in self.queue if each == handle]
        self.queue = [each for each in self.queue if each[0] != handle]

    def went_on(self, handle):
        return self.on.pop(handle, None)


def test_no_more_wait_than_there_are_slots_and_what_runs_does_not_count(history, tmp_path: Path):  # noqa: F811
    world = Queue({}, {}, room=5)
    assert history(tmp_path, world, 20, slots(2)._replace(executor="slurm")) == ["succeeded"] * 20
    assert world.most == 2 and world.time == 4.0, "all five places are used"


def test_after_a_failure_what_waits_is_taken_out_of_the_queue(history, tmp_path: Path):  # noqa: F811
    world = Queue({0: 1.0, 1: 5.0}, {0: 3}, room=2)
    states = history(tmp_path, world, 6, slots(2)._replace(executor="slurm"))
    assert states == ["failed", "succeeded", "cancelled", "cancelled", "never", "never"]
    reasons = [reason for reason in world.ended_with if "queue" in reason]
    assert reasons == ["taken out of the queue: the sweep starts nothing more"] * 2


def test_a_run_that_its_job_goes_on_with_has_not_failed(history, tmp_path: Path):  # noqa: F811
    world = Queue({}, {}, room=1)
    world.preempted = {0: 2.0}
    assert history(tmp_path, world, 2, slots(2)._replace(executor="slurm")) == ["succeeded"] * 2
    journal = Journal(tmp_path / "p" / "journal.sqlite", read_only=True)
    first = next(iter(journal.records()))
    assert [each.outcome.kind for each in first.attempts if each.outcome] == ["failed", "succeeded"]
    assert "it goes on as attempt-2" in world.ended_with[0] and world.starts == [0, 1]
    assert [each.folder.rpartition("/")[2] for each in first.attempts] == ["attempt-1", "attempt-2"]
