"""Whole histories of the loop without a process: a scripted executor, a clock that moves only when the loop waits."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from automate_train.config.layers import Layer, built_in, merge
from automate_train.executors.protocol import Found, Recovered
from automate_train.records import Attempt, Cache, Device, Event, Launch, Outcome, Run, Source, SweepContext
from automate_train.store.events import read_events
from automate_train.store.history import Histories
from automate_train.store.journal import Journal
from automate_train.store.launch import write_attempt
from automate_train.store.layout import AttemptFolder, SweepFolder
from automate_train.sweep.product import expand
from automate_train.sweep.strategies.grid import Grid
from automate_train.training import adoption, latents_cache, prepare
from automate_train.training.delivery import Delivery
from automate_train.training.device_release import RELEASE_SECONDS
from automate_train.training.loop import GRACE_SECONDS, Loop
from automate_train.training.running_attempt import RunningAttempt
from automate_train.training.signals import StopSignals

PORT, BAD_ARGUMENT = 98, 2
CAUSES = {PORT: "port_in_use", BAD_ARGUMENT: "bad_argument"}


class World:
    """Executor, display, clock and trainer in one: `seconds` and `codes` say how long run n takes and how it ends; of a
    list of codes each attempt takes the next."""

    every = float("inf")

    def __init__(self, seconds: dict[int, float], codes: dict[int, int | list[int]], deaf: bool = False) -> None:
        self.time, self.pid = 0.0, 100
        self.devices: tuple[str, ...] = ()
        self.reserved: set[str] = set()
        self.taken_after_look: dict[str, float] = {}
        """Device -> until when another sweep has it, which took it just after we had looked."""
        self.shows_reserved = True
        self.refused: list[str] = []
        self.devices_of: dict[int, tuple[str, ...]] = {}
        self.seconds, self.codes, self.deaf = seconds, codes, deaf
        self.ends: dict[str, tuple[float, AttemptFolder, int]] = {}
        self.said: list[str] = []
        self.started_at: dict[int, float] = {}
        self.signals: list[tuple[int, float]] = []
        self.on_wait: Callable[[], None] = lambda: None
        self.free = 20 * 1024**3
        self.held_until: dict[int, float] = {}
        """Run index -> when the last of its processes is gone."""
        self.indices: dict[str, int] = {}
        self.starts: list[int] = []
        self.ended_with: list[str] = []
        self.drawn: list[int] = []
        """How many runs were left at each drawing."""
        self.found: dict[str, Found] = {}
        """Start of a run's folder -> what became of the attempt of an earlier orchestrator."""
        self.left: list[str] = []
        """Folders of attempts of which something could not be ended."""
        self.log: list[str] = []
        """Starts and what the display is told, in their order."""
        self.caches: tuple[Cache, ...] = ()
        """Shared by all runs."""
        self.code_when_stopped: int | None = None
        """None: as by the signal."""

    # trainer
    def problems(self, run: Run, context: SweepContext) -> list[object]:
        return []

    def prepare(self, run: Run, folder: AttemptFolder, context: SweepContext) -> Launch:
        return Launch((str(run.index),), "/", gpus=0 if context.cpu else 1, caches=self.caches)

    def events(self, folder: AttemptFolder, offset: int) -> tuple[list[Event], int]:
        return read_events(folder, offset)

    def verdict(self, folder: AttemptFolder, code: int) -> Outcome:
        return (
            Outcome("succeeded", 0) if code == 0 else Outcome("failed", code, f"exit code {code}", CAUSES.get(code, ""))
        )

    # executor
    def capacity(self) -> list[Device]:
        told = {name for name in self.refused if self._is_taken(name) and self.shows_reserved}
        return [
            Device(name, f"GPU {name}", self.free, reserved="another sweep" if name in told else "")
            for name in self.devices
        ]

    def _is_taken(self, device: str) -> bool:
        return self.time < self.taken_after_look.get(device, 0.0)

    def describe(self, handle: str) -> str:
        return handle

    def reserve(self, devices: Sequence[str], attempt: AttemptFolder) -> bool:
        if taken := [device for device in devices if self._is_taken(device)]:
            self.refused += taken
            return False
        assert not self.reserved & {*devices}, "reserved twice"
        self.reserved.update(devices)
        return True

    def release(self, devices: Sequence[str]) -> None:
        self.reserved.difference_update(devices)

    def start(self, launch: Launch, folder: AttemptFolder, devices: tuple[str, ...]) -> str:
        index = int(launch.argv[0])
        self.pid += 1
        handle = f"{self.pid} 1 boot"
        codes = self.codes.get(index, 0)
        code = codes if isinstance(codes, int) else codes.pop(0)
        self.ends[handle] = (self.time + self.seconds.get(index, 1.0), folder, code)
        self.started_at[index] = self.time
        self.devices_of[index] = tuple(devices)
        self.indices[handle] = index
        self.starts.append(index)
        self.log.append(f"start {index}")
        return handle

    def wait(self, seconds: float | None, wake_on: Sequence[int] = ()) -> dict[str, int | None]:
        self.on_wait()
        next_end = min((end for end, _, _ in self.ends.values()), default=float("inf"))
        limit = float("inf") if seconds is None else self.time + seconds
        assert min(next_end, limit) < float("inf"), "the loop waits for ever"
        self.time = max(self.time, min(next_end, limit))
        over = [handle for handle, (end, _, _) in self.ends.items() if end <= self.time]
        for handle in over:
            _, folder, code = self.ends.pop(handle)
            folder.exit_code.write_text(f"{code}\n")
        return dict.fromkeys(over)

    def waiting(self) -> dict[str, str] | None:
        return None

    def withdraw(self, handle: str) -> None:
        raise AssertionError("there is no queue")

    def went_on(self, handle: str) -> None:
        return None

    def stop(self, handle: str, now: bool) -> None:
        number = signal.SIGKILL if now else signal.SIGTERM
        self.signals.append((number, self.time))
        if handle in self.ends and (now or not self.deaf):
            _, folder, _ = self.ends[handle]
            code = 128 + number if self.code_when_stopped is None else self.code_when_stopped
            self.ends[handle] = (self.time, folder, code)

    def holders(self, handle: str, attempt: AttemptFolder, devices: Sequence[str]) -> list[str]:
        index = self.indices.get(handle, int(attempt.path.parent.name[:3]))
        return ["pid 77"] if self.time < self.held_until.get(index, 0.0) else []

    def recover(self, sweep: Path, left_behind: Sequence[tuple[AttemptFolder, str]]) -> Recovered:
        return Recovered([self.found.get(folder.path.parent.name[:3], Found()) for folder, _ in left_behind], self.left)

    # display
    def started(self, active: RunningAttempt) -> None:
        self.log.append(f"show start {active.name}")

    def ended(self, active: RunningAttempt, outcome: Outcome, seconds: float) -> None:
        self.ended_with.append(outcome.reason)
        self.log.append(f"show end {active.name}")

    def due(self, active: Sequence[RunningAttempt]) -> bool:
        return True

    def draw(self, active: Sequence[RunningAttempt], devices: Sequence[Device], left: int) -> None:
        self.drawn.append(left)

    def waits(self, run: Run, why: str) -> None:
        self.said.append(why)

    def say(self, text: str) -> None:
        self.said.append(text)


def slots(count: int, devices: tuple[str, ...] = (), limit: int = 0) -> SweepContext:
    return SweepContext("", "p", slots=count, devices=devices, pool=devices, memory_limit=limit, cpu=not devices)


@pytest.fixture
def history(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Run `count` runs through the loop; the states in the order of the sweep."""

    def played(
        tmp_path: Path, world: World, count: int, context: SweepContext, stop: bool = True,
        before: Callable[[Loop], None] | None = None, **keys: object,
    ) -> list[str]:  # fmt: skip
        layer = Layer(Source("x"), {"project_name_base": "p", "n_list": list(range(count)), "z": 1, **keys})
        sweep = expand(merge([built_in(), layer])[0])
        folder = SweepFolder(tmp_path, "p")
        folder.path.mkdir(exist_ok=True)
        journal = Journal(folder.journal)
        points = [point for point in sweep if isinstance(point, Run)]
        monkeypatch.setattr(prepare, "load", lambda name: world)
        monkeypatch.setattr(adoption, "load", lambda name: world)
        world.devices = context.devices
        loop = Loop(
            context=context._replace(temp_dir=str(tmp_path), stop_on_failure=stop), strategy=Grid(points), histories={},
            total=count, journal=journal, executor=world, display=world, delivery=Delivery(folder), stop=StopSignals(),
            followers=[], clock=lambda: world.time, now=lambda: 1000 + world.time,
        )  # type: ignore[arg-type]  # fmt: skip
        if before:
            before(loop)
        loop.run()
        states = {record.index: record.state for record in journal.records()}
        journal.close()
        return [states.get(index, "never") for index in range(count)]

    return played


def test_all_slots_are_busy_until_the_end(history, tmp_path: Path):
    world = World({0: 5.0}, {})
    assert history(tmp_path, world, 6, slots(2)) == ["succeeded"] * 6
    assert [world.started_at[index] for index in range(6)] == [0, 0, 1, 2, 3, 4]


def test_after_a_failure_nothing_starts_and_the_running_one_finishes(history, tmp_path: Path):
    world = World({0: 5.0}, {1: 3})
    assert history(tmp_path, world, 40, slots(2)) == ["succeeded", "failed", *["never"] * 38]
    assert world.time == 5.0


def test_on_failure_continue(history, tmp_path: Path):
    world = World({}, {1: 3, 2: 4})
    assert history(tmp_path, world, 5, slots(1), stop=False) == [
        "succeeded",
        "failed",
        "failed",
        "succeeded",
        "succeeded",
    ]


def test_ctrl_c_once_finishes_and_twice_ends(history, tmp_path: Path):
    world = World({0: 50.0, 1: 50.0}, {})

    def once(loop: Loop) -> None:
        world.on_wait = lambda: setattr(loop.stop, "level", 1)

    assert history(tmp_path, world, 4, slots(2), before=once)[:2] == ["succeeded", "succeeded"]
    assert world.signals == [] and 2 not in world.started_at


def test_one_deadline_for_all_then_sigkill(history, tmp_path: Path):
    world = World({0: 500.0, 1: 500.0}, {}, deaf=True)

    def twice(loop: Loop) -> None:
        loop.display.every = 1.0
        world.on_wait = lambda: setattr(loop.stop, "level", 2)

    assert history(tmp_path, world, 3, slots(2), before=twice)[:2] == ["cancelled", "cancelled"]
    terms = [at for number, at in world.signals if number == signal.SIGTERM]
    kills = [at for number, at in world.signals if number == signal.SIGKILL]
    assert len(terms) == len(kills) == 2 and kills[0] - terms[0] == GRACE_SECONDS


def test_another_sweep_wins_a_device_between_look_and_start(history, tmp_path: Path):
    """Nothing was written of the start that did not happen; another device is taken meanwhile, and that one when it is
    free again."""
    world = World({0: 5.0, 1: 1.0}, {})
    world.taken_after_look = {"0": 8.0}
    assert history(tmp_path, world, 3, slots(2, devices=("0", "1"))) == ["succeeded"] * 3
    assert world.refused == ["0"] and world.starts == [0, 1, 2] and world.reserved == set()
    assert world.devices_of == {0: ("1",), 1: ("1",), 2: ("1",)}
    assert any("GPU 0 is reserved by another sweep" in text for text in world.said)
    assert sorted(path.name for path in tmp_path.glob("p/*/attempt-*")) == ["attempt-1"] * 3


def test_a_device_that_others_always_win_is_asked_for_once_a_second(history, tmp_path: Path):
    world = World({}, {})
    world.taken_after_look, world.shows_reserved = {"0": 4.5}, False
    assert history(tmp_path, world, 1, slots(1, devices=("0",))) == ["succeeded"]
    assert world.started_at == {0: 5.0} and world.refused == ["0"] * 10, "twice a turn: it may have been given back"


def test_a_device_below_the_limit_is_waited_for_and_never_forgotten(history, tmp_path: Path):
    world = World({}, {})
    world.free = 1 * 1024**3
    looks = []

    def wait() -> None:
        looks.append(world.time)
        if len(looks) == 5:
            world.free = 20 * 1024**3

    world.on_wait = wait
    states = history(tmp_path, world, 3, slots(1, devices=("0",), limit=9 * 1024**3))
    assert states == ["succeeded"] * 3
    assert [text for text in world.said if "1.0 of 9 GiB free" in text] == ["GPU 0 has 1.0 of 9 GiB free"], "said once"
    assert world.started_at[0] == 5.0


def test_a_run_that_cannot_be_prepared_has_failed(history, tmp_path: Path):
    from automate_train.errors import UserError

    world = World({}, {})
    prepare = world.prepare

    def refuse(run: Run, folder: AttemptFolder, context: SweepContext) -> Launch:
        if run.index == 1:
            raise UserError("no such file")
        return prepare(run, folder, context)

    world.prepare = refuse  # type: ignore[method-assign]
    states = history(tmp_path, world, 3, slots(1), stop=False)
    assert states == ["succeeded", "failed", "succeeded"] and any("no such file" in text for text in world.said)


def test_between_an_end_and_the_next_start_nothing_is_written_down_or_shown(history, tmp_path, monkeypatch):
    world = World({0: 5.0}, {})
    end = Journal.end

    def logged(journal: Journal, attempt: Attempt, *more: Any) -> None:
        world.log.append(f"write end {attempt.folder.partition('-')[0]}")
        end(journal, attempt, *more)

    monkeypatch.setattr(Journal, "end", logged)
    history(tmp_path, world, 3, slots(1))
    assert world.log == [
        "start 0", "show start p_n=0",
        "start 1", "write end 000", "show end p_n=0", "show start p_n=1",
        "start 2", "write end 001", "show end p_n=1", "show start p_n=2",
        "write end 002", "show end p_n=2",
    ]  # fmt: skip
    assert world.drawn == [2, 1, 0, 0]


def test_a_run_that_diverges_is_ended_once_and_its_slot_goes_on(history, tmp_path):
    world = World({0: 500.0}, {})
    nan = "".join(f'{{"at": {1000 + step}, "kind": "metrics", "step": {step}, "nan": true}}\n' for step in range(3))

    def before(loop: Loop) -> None:
        loop.display.every = 1.0
        world.on_wait = lambda: [
            attempt.folder.events.write_text(nan)
            for attempt in loop.state.active
            if attempt.label == "run 0" and world.time == 3.0
        ]

    assert history(tmp_path, world, 2, slots(1), stop=False, before=before) == ["failed", "succeeded"]
    assert [number for number, _ in world.signals] == [signal.SIGTERM]
    assert world.ended_with[0].startswith("diverged: ") and world.started_at[1] == 4.0


def test_a_training_that_waits_for_its_samples_is_told_and_ctrl_c_ends_the_wait(history, tmp_path):
    world = World({0: 10.0}, {})
    waits = '{"at": 1000, "kind": "waits", "path": "/x/r-000001.safetensors", "seconds": 600}\n'
    gone_on: list[float] = []

    def before(loop: Loop) -> None:
        loop.display.every = 1.0

        def look() -> None:
            for attempt in loop.state.active:
                if world.time == 3.0:
                    attempt.folder.events.write_text(waits)
                if world.time == 6.0:
                    loop.stop.level = 1
                gone_on.extend([world.time] if attempt.folder.go_on.exists() else [])

        world.on_wait = look

    history(tmp_path, world, 1, slots(1), before=before)
    assert any(
        "the samples of r-000001.safetensors, 600 s at most; Ctrl-C ends the wait" in each for each in world.said
    )
    assert gone_on and gone_on[0] >= 6.0


# another try


def test_what_passes_by_itself_is_tried_again_before_the_others(history, tmp_path):
    world = World({}, {1: [PORT, PORT, 0]})
    assert history(tmp_path, world, 4, slots(1), retries=2) == ["succeeded"] * 4
    assert world.starts == [0, 1, 1, 1, 2, 3]
    assert sorted(path.name for path in tmp_path.glob("p/001-*/*")) == ["attempt-1", "attempt-2", "attempt-3"]
    assert (tmp_path / "p").is_dir() and world.ended_with[1:3] == [
        "exit code 98; tried again (1 of 2)",
        "exit code 98; tried again (2 of 2)",
    ]


def test_the_last_try_counts_as_the_failure(history, tmp_path):
    world = World({}, {0: [PORT] * 3, 1: PORT})
    assert history(tmp_path, world, 3, slots(1), retries="2") == ["failed", "never", "never"]
    assert world.starts == [0, 0, 0] and world.ended_with[-1] == "exit code 98"


def test_what_does_not_pass_is_not_tried_again_nor_anything_unless_asked_for(history, tmp_path):
    world = World({}, {0: BAD_ARGUMENT, 1: 77})
    assert history(tmp_path, world, 2, slots(1), stop=False, retries=5) == ["failed", "failed"]
    assert world.starts == [0, 1]
    (tmp_path / "b").mkdir()
    world = World({}, {0: PORT})
    assert history(tmp_path / "b", world, 1, slots(1)) == ["failed"] and world.starts == [0]


def test_nothing_is_tried_again_once_a_run_has_failed_or_a_person_asked(history, tmp_path):
    world = World({1: 2.0}, {0: 1, 1: [PORT, 0]})
    assert history(tmp_path, world, 2, slots(2), retries=5) == ["failed", "failed"]
    (tmp_path / "b").mkdir()
    world = World({}, {0: [PORT, 0]})

    def once(loop: Loop) -> None:
        world.on_wait = lambda: setattr(loop.stop, "level", 1)

    assert history(tmp_path / "b", world, 1, slots(1), before=once, retries=5) == ["failed"]


# devices that are not free yet

ONE = slots(1, devices=("0",))


def test_a_device_is_free_again_when_nothing_of_the_run_holds_it(history, tmp_path):
    world = World({}, {})
    world.held_until = {0: 4.0}
    assert history(tmp_path, world, 2, ONE) == ["succeeded", "succeeded"]
    assert 4.0 <= world.started_at[1] < 4.2 and (signal.SIGTERM, 1.0) in world.signals


def test_after_a_while_it_is_said_who_holds_the_device_and_others_go_on(history, tmp_path):
    world = World({}, {})
    told = []

    def before(loop: Loop) -> None:
        world.held_until = {0: 40.0}
        world.on_wait = lambda: told.append((world.time, dict(loop.pending_writes.waiting)))

    two = slots(2, ("0", "1"))
    assert history(tmp_path, world, 4, two, before=before) == ["succeeded"] * 4
    assert world.said.count("GPU 0: occupied by pid 77 of run 0, which has ended") == 1
    assert world.started_at[3] < 5, "the other device goes on"

    (tmp_path / "b").mkdir()
    world = World({}, {})
    told.clear()
    assert history(tmp_path / "b", world, 2, ONE, before=before) == ["succeeded"] * 2
    assert 40 <= world.started_at[1] <= 41.1
    reasons = {why for at, whys in told if at > 1 + RELEASE_SECONDS + 1 for why in whys.values()}
    assert reasons == {"GPU 0 is occupied by pid 77 of run 0, which has ended"}


def test_a_sweep_does_not_wait_for_ever_for_what_nobody_can_end(history, tmp_path):
    world = World({}, {})
    world.held_until = {0: 1e9}
    assert history(tmp_path, world, 1, slots(1)) == ["succeeded"]
    assert world.time == pytest.approx(1 + RELEASE_SECONDS, abs=0.1)
    assert (signal.SIGKILL, 1 + GRACE_SECONDS) in world.signals


# what each was asked for


def test_what_ended_well_just_as_a_person_stopped_it_has_succeeded(history, tmp_path):
    world = World({0: 50.0}, {})
    world.code_when_stopped = 0

    def twice(loop: Loop) -> None:
        loop.display.every = 1.0
        world.on_wait = lambda: setattr(loop.stop, "level", 2)

    assert history(tmp_path, world, 1, slots(1), before=twice) == ["succeeded"]


def test_each_has_its_own_time_to_end(history, tmp_path):
    """Run 0 diverges first; run 1 is stopped by a person 8 s later, and is not killed 2 s after that."""
    world = World({0: 500.0, 1: 500.0}, {}, deaf=True)
    nan = "".join(f'{{"at": 1, "kind": "metrics", "step": {step}, "nan": true}}\n' for step in range(3))

    def before(loop: Loop) -> None:
        loop.display.every = 1.0

        def at() -> None:
            for attempt in loop.state.active:
                if attempt.label == "run 0" and world.time == 1.0:
                    attempt.folder.events.write_text(nan)
            loop.stop.level = 2 if world.time >= 9.0 else 0

        world.on_wait = at

    history(tmp_path, world, 2, slots(2), before=before, stop=False)
    kills = [at for number, at in world.signals if number == signal.SIGKILL]
    terms = [at for number, at in world.signals if number == signal.SIGTERM]
    assert [at - asked for at, asked in zip(kills, terms, strict=True)] == [GRACE_SECONDS] * 2, world.signals


def test_a_try_that_cannot_be_prepared_is_not_called_one(history, tmp_path):
    world = World({}, {0: [PORT, 0]})
    whole = world.prepare

    def refuse(run: Run, folder: AttemptFolder, context: SweepContext) -> Launch:
        if folder.number == 2:
            raise OSError("the disk is gone")
        return whole(run, folder, context)

    world.prepare = refuse  # type: ignore[method-assign]
    failed = []
    history(tmp_path, world, 1, slots(1), retries=3, before=lambda loop: failed.append(loop))
    assert (
        world.ended_with == ["exit code 98; it could not be prepared for another try"] and failed[0].state.failed == 1
    )


# after a kill


def killed(tmp_path: Path, world: World, loop: Loop, count: int) -> list[Run]:
    """What an orchestrator has left that was killed when `count` runs had been started."""
    runs = [run for run in iter(lambda: loop.starter.strategy.propose({}), None) if run is not None]
    for run in runs[:count]:
        one = prepare.prepare(run, loop.journal, loop.context)
        attempt = loop.journal.begin(one.record, loop.context.devices, 990.0, one.inside_sweep)
        write_attempt(one.folder, one.launch, one.record, loop.context.devices, 990.0)
        loop.journal.set_handle(attempt.id, f"old {run.index}")
        world.ends[f"old {run.index}"] = (world.seconds.get(run.index, 1.0), one.folder, world.codes.get(run.index, 0))
        world.indices[f"old {run.index}"] = run.index
    loop.starter.strategy = Grid(runs)
    loop.starter.histories = Histories(
        SweepFolder(tmp_path, "p"), loop.journal, lambda record, *more: world.events(*more)
    )
    return runs


def taken_over(tmp_path: Path, world: World, count: int) -> Callable[[Loop], None]:
    def before(loop: Loop) -> None:
        killed(tmp_path, world, loop, count)
        loop.take_over(adoption.left_behind(loop.journal, SweepFolder(tmp_path, "p"), world))

    return before


def test_what_runs_is_adopted_and_what_ended_is_judged(history, tmp_path):
    world = World({0: 3.0}, {})
    world.found = {"000": Found("old 0")}

    def before(loop: Loop) -> None:
        killed(tmp_path, world, loop, 3)
        for index, code in ((1, 0), (2, 7)):
            _, folder, _ = world.ends.pop(f"old {index}")
            folder.exit_code.write_text(f"{code}\n")
        loop.take_over(adoption.left_behind(loop.journal, SweepFolder(tmp_path, "p"), world))

    assert history(tmp_path, world, 4, slots(1), before=before) == ["succeeded"] * 4
    assert world.starts == [2, 3] and world.started_at[2] == 3.0, "the slot is the adopted run's until it has ended"
    assert any("still runs (old 0), adopted" in text for text in world.said)


def test_an_adopted_run_that_fills_a_cache_keeps_the_others_from_it(history, tmp_path):
    world = World({0: 5.0}, {})
    world.caches = (Cache(str(tmp_path / "cache"), {}),)
    (tmp_path / "cache").mkdir()
    world.found = {"000": Found("old 0")}
    assert history(tmp_path, world, 3, slots(3), before=taken_over(tmp_path, world, 1)) == ["succeeded"] * 3
    assert world.started_at[1] == world.started_at[2] == 5.0
    assert "run 0 is filling the latents cache that this run shares" in world.said
    assert latents_cache.is_filled(str(tmp_path / "cache"))


def test_one_run_fills_a_cache_and_then_the_others_start_at_once(history, tmp_path):
    world = World({0: 50.0}, {})
    world.caches = (Cache(str(tmp_path / "cache"), {}),)

    def before(loop: Loop) -> None:
        loop.display.every = 1.0
        world.on_wait = lambda: [
            attempt.folder.events.write_text('{"at": 1004.0, "kind": "training"}\n')
            for attempt in loop.state.active
            if attempt.label == "run 0" and world.time == 4.0
        ]

    assert history(tmp_path, world, 3, slots(3), before=before) == ["succeeded"] * 3
    assert world.started_at[0] == 0 and 4 <= world.started_at[1] == world.started_at[2] <= 6


def test_a_run_whose_filling_failed_leaves_the_cache_to_the_next(history, tmp_path):
    world = World({}, {0: 7})
    world.caches = (Cache(str(tmp_path / "cache"), {}),)
    assert history(tmp_path, world, 3, slots(3), stop=False) == ["failed", "succeeded", "succeeded"]
    assert [world.started_at[index] for index in range(3)] == [0, 1, 2]


def test_an_adopted_run_that_diverges_is_ended(history, tmp_path):
    world = World({0: 500.0}, {})
    world.found = {"000": Found("old 0")}
    nan = "".join(f'{{"at": 1, "kind": "metrics", "step": {step}, "nan": true}}\n' for step in range(3))

    def before(loop: Loop) -> None:
        taken_over(tmp_path, world, 1)(loop)
        loop.state.active[0].folder.events.write_text(nan)

    assert history(tmp_path, world, 1, slots(1), before=before, stop=False) == ["failed"]
    assert world.ended_with[0].startswith("diverged: ") and [number for number, _ in world.signals] == [signal.SIGTERM]


def test_a_run_that_another_machine_trains_is_left_alone(history, tmp_path):
    world = World({}, {})
    world.found = {"000": Found(elsewhere="other-host")}

    def before(loop: Loop) -> None:
        taken_over(tmp_path, world, 1)(loop)
        world.ends.clear()

    assert history(tmp_path, world, 2, slots(1), before=before) == ["running", "succeeded"]
    assert world.starts == [1] and any("runs on other-host" in text for text in world.said)


def test_after_a_restart_a_device_is_held_by_what_is_left_of_a_run_that_has_ended(history, tmp_path):
    world = World({}, {})
    world.held_until = {0: 6.0}

    def before(loop: Loop) -> None:
        killed(tmp_path, world, loop, 1)
        _, folder, _ = world.ends.pop("old 0")
        folder.exit_code.write_text("0\n")
        world.left = [str(folder.path.resolve())]
        loop.take_over(adoption.left_behind(loop.journal, SweepFolder(tmp_path, "p"), world))

    assert history(tmp_path, world, 2, ONE, before=before) == ["succeeded", "succeeded"]
    assert 6.0 <= world.started_at[1] < 6.2
