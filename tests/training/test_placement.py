"""Histories for `decide`: what waits, what runs, what the devices say -> who starts where, and why not."""

from __future__ import annotations

from typing import Any

from automate_train.records import GIB, Device, SweepContext
from automate_train.training.placement import Held, Request, Start, Wait, decide


def machine(slots: int, devices: tuple[str, ...] = (), limit: int = 0) -> SweepContext:
    return SweepContext("/out", "p", slots=slots, devices=devices, memory_limit=limit)


def request(key: str, *wants: Any, **more: Any) -> Request:
    return Request(key, f"run {key}", *wants, **more)


A, B, C = (Device(name, f"GPU {number}", 20 * GIB) for number, name in enumerate(("a", "b", "c")))
POOL = machine(slots=3, devices=("a", "b", "c"))


def started(decisions: list[Start | Wait]) -> dict[str, tuple[str, ...]]:
    return {each.key: each.devices for each in decisions if isinstance(each, Start)}


def waiting(decisions: list[Start | Wait]) -> dict[str, str]:
    return {each.key: each.why for each in decisions if isinstance(each, Wait)}


def test_as_many_at_a_time_as_there_are_devices():
    decisions = decide([request(str(n), 1) for n in range(5)], [], [A, B, C], POOL)
    assert started(decisions) == {"0": ("a",), "1": ("b",), "2": ("c",)}


def test_a_held_device_is_taken_by_nobody():
    decisions = decide(
        [request("x", 1), request("y", 1)], [Held("run 0", frozenset({"a"}))], [A, B], machine(3, ("a", "b"))
    )
    assert started(decisions) == {"x": ("b",)}
    assert waiting(decisions) == {"y": "all devices are taken by other runs"}


def test_what_an_ended_run_left_holds_its_device_without_a_slot():
    left = Held("run 0", frozenset({"a"}), occupied="pid 9 of run 0, which has ended")
    assert started(decide([request("x", 1)], [left], [A, B], machine(1, ("a", "b")))) == {"x": ("b",)}
    assert decide([request("x", 1)], [left], [A], machine(1, ("a",))) == [
        Wait("x", "GPU 0 is occupied by pid 9 of run 0, which has ended", True)
    ]


def test_a_device_that_another_sweep_has_reserved_is_passed_over_and_named():
    taken = A._replace(reserved="another sweep (pid 9, /data/p)")
    assert started(decide([request("x", 1)], [], [taken, B], machine(2, ("a", "b")))) == {"x": ("b",)}
    decisions = decide([request("x", 1)], [Held("run 0", frozenset({"b"}))], [taken, B], machine(2, ("a", "b")))
    text = "GPU 0 is reserved by another sweep (pid 9, /data/p)"
    assert decisions == [Wait("x", f"all devices are taken by other runs; {text}", recheck=True)]
    assert decide([request("x", 1)], [], [taken], machine(1, ("a",))) == [Wait("x", text, recheck=True)]
    ours = [Held("run 0", frozenset({"a"}))]
    assert waiting(decide([request("x", 1)], ours, [taken], machine(2, ("a",)))) == {
        "x": "all devices are taken by other runs"
    }, "what an earlier orchestrator of this sweep has reserved is this sweep's"


def test_on_the_cpu_only_the_slots_count():
    wants = [request(str(n), 0) for n in range(3)]
    assert started(decide(wants, [], [], machine(slots=2))) == {"0": (), "1": ()}
    assert started(decide(wants, [Held("run 9")], [], machine(slots=2))) == {"0": ()}


def test_memory_below_the_limit_waits_and_says_who_uses_it():
    full = Device("b", "GPU 1", int(4.5 * GIB), note="pid 1234 uses 18 GiB")
    policy = machine(2, ("b",), limit=9 * GIB)
    decisions = decide([request("x", 1)], [], [full], policy)
    assert decisions == [Wait("x", "GPU 1 has 4.5 of 9 GiB free (pid 1234 uses 18 GiB)", recheck=True)]
    freed = Device("b", "GPU 1", 9 * GIB)
    assert started(decide([request("x", 1)], [], [freed], policy)) == {"x": ("b",)}


def test_free_memory_is_rounded_down_so_that_it_is_a_reason():
    almost = Device("a", "GPU 0", 9 * GIB - 1)
    assert waiting(decide([request("x", 1)], [], [almost], machine(1, ("a",), limit=9 * GIB))) == {
        "x": "GPU 0 has 8.9 of 9 GiB free"
    }
    policy = machine(1, ("a",), limit=9 * GIB + GIB // 4)
    assert waiting(decide([request("x", 1)], [], [almost], policy)) == {"x": "GPU 0 has 8.9 of 9.25 GiB free"}


def test_the_limit_passes_over_a_full_device_and_takes_another():
    full = Device("a", "GPU 0", 1 * GIB)
    assert started(decide([request("x", 1)], [], [full, B], machine(2, ("a", "b"), limit=9 * GIB))) == {"x": ("b",)}


def test_most_free_memory_first():
    some = Device("a", "GPU 0", 10 * GIB)
    assert started(decide([request("x", 1)], [], [some, B], machine(2, ("a", "b")))) == {"x": ("b",)}


def test_single_gpu_runs_do_not_starve_a_multi_gpu_one():
    running = [Held("run 0", frozenset({"a"}))]
    decisions = decide([request("big", 2), request("small", 1)], running, [A, B], machine(2, ("a", "b")))
    assert started(decisions) == {}
    assert waiting(decisions) == {"big": "needs 2 devices at once, 1 free"}
    decisions = decide([request("big", 2), request("small", 1)], [], [A, B, C], POOL)
    assert started(decisions) == {"big": ("a", "b"), "small": ("c",)}


def test_a_run_that_cannot_start_because_cards_are_lost_lets_others_pass():
    lost = Device("a", "GPU 0", 0, lost=True)
    decisions = decide([request("big", 2), request("small", 1)], [], [lost, B], machine(2, ("a", "b")))
    assert started(decisions) == {"small": ("b",)}
    assert waiting(decisions) == {"big": "needs 2 devices, 1 alive (lost: GPU 0)"}


def test_a_lost_device_is_skipped():
    lost = Device("a", "GPU 0", 20 * GIB, lost=True)
    assert started(decide([request("x", 1)], [], [lost, B], machine(2, ("a", "b")))) == {"x": ("b",)}


def test_a_lost_device_is_named_while_the_others_are_taken_and_looked_at_again():
    lost = Device("a", "GPU 0", 0, lost=True)
    decisions = decide([request("x", 1)], [Held("run 0", frozenset({"b"}))], [lost, B], machine(2, ("a", "b")))
    assert decisions == [Wait("x", "all devices are taken by other runs; GPU 0 is lost", recheck=True)]
    assert started(decide([request("x", 1)], [Held("run 0", frozenset({"b"}))], [A, B], machine(2, ("a", "b"))))


def test_a_run_bound_to_a_lost_device_waits_and_others_pass():
    lost = Device("a", "GPU 0", 0, lost=True)
    decisions = decide([request("x", 1, ("a",)), request("y", 1, ("b",))], [], [lost, B], machine(1, ("a", "b")))
    assert waiting(decisions) == {"x": "needs 1 device, 0 alive (lost: GPU 0)"} and started(decisions) == {"y": ("b",)}


def test_runs_bound_to_their_own_devices_get_exactly_these():
    policy = machine(slots=1, devices=("a", "b", "c"))
    assert started(decide([request("x", 2, ("c", "b"))], [], [A, B, C], policy)) == {"x": ("c", "b")}
    assert decide([request("y", 1, ("a",))], [Held("run 0", frozenset({"b"}))], [A, B, C], policy) == []


def test_only_one_run_fills_a_shared_cache_and_others_pass():
    cache = frozenset({"/cache"})
    wants = [request("first", 1, fills=cache), request("second", 1, fills=cache), request("third", 1)]
    decisions = decide(wants, [], [A, B, C], POOL)
    assert started(decisions) == {"first": ("a",), "third": ("b",)}
    assert waiting(decisions)["second"] == "run first is filling the latents cache that this run shares"
    running = [Held("run 0", frozenset({"a"}), cache)]
    assert "run 0 is filling" in waiting(decide([request("second", 1, fills=cache)], running, [A, B], POOL))["second"]
    assert started(decide([request("second", 1)], [Held("run 0", frozenset({"a"}))], [A, B], POOL)) == {
        "second": ("b",)
    }


def test_where_the_executor_places_only_the_slots_count():
    wants = [request(str(n), 2) for n in range(3)]
    assert started(decide(wants, [Held("run 9")], None, machine(slots=3))) == {"0": (), "1": ()}


def test_devices_are_taken_in_the_order_in_which_they_were_listed():
    assert started(decide([request("x", 1)], [], [A, B, C], machine(2, ("c", "a")))) == {"x": ("c",)}


def test_no_device_is_ever_given_twice_over_a_long_history():
    """Drive a whole sweep of mixed sizes; at every moment each device has at most one run, and all end up run."""
    waiting_runs = [request(str(n), 1 + (n % 3 == 0)) for n in range(40)]
    running: list[tuple[Request, tuple[str, ...]]] = []
    order = []
    while waiting_runs or running:
        held = [Held(each.key, frozenset(devices)) for each, devices in running]
        for decision in decide(waiting_runs, held, [A, B, C], POOL):
            if isinstance(decision, Start):
                each = next(run for run in waiting_runs if run.key == decision.key)
                waiting_runs.remove(each)
                running.append((each, decision.devices))
                order.append(int(each.key))
        in_use = [device for _, devices in running for device in devices]
        assert len(in_use) == len(set(in_use)) <= 3
        assert all(len(devices) == each.gpus for each, devices in running)
        assert running, "nothing runs although nothing stands in the way"
        running.pop(len(order) % len(running))
    assert order == list(range(40))
