"""Placement by the command line: whole sweeps of real processes on the fake NVML's cards."""

from __future__ import annotations

import json
import os
import signal

import pytest
from machine_kit import HELD, ONE, PLAIN, TELL, WAIT, together
from sd_scripts_kit import make_repo

# as many at a time as devices


@pytest.mark.parametrize("listed", ["0,1, 2,3", "all", "ALL", "GPU-d,GPU-c,GPU-b,GPU-a"])
def test_several_runs_at_once_each_on_a_device_of_its_own(machine, listed):
    machine.cards({}, {}, {}, {})
    machine.sweep(together(4), 6)
    _, seen = machine.done("--cuda_devices_distributed", listed)
    assert set(seen[:4]) == {"GPU-a", "GPU-b", "GPU-c", "GPU-d"} and len(seen) == 6


def test_only_listed_devices_are_used_in_the_order_of_the_list(machine):
    machine.cards({}, {}, {}, {})
    machine.sweep(together(2), 2)
    assert machine.done("--cuda_devices_distributed", "2, 0")[1] == ["GPU-c", "GPU-a"]


def test_the_device_with_most_free_memory_comes_first(machine):
    machine.cards({"free_gib": 10}, {"free_gib": 20})
    machine.sweep(PLAIN, 1)
    assert machine.done("--cuda_devices_distributed", "0,1")[1] == ["GPU-b"]


def test_runs_of_two_devices_share_four_of_them(machine):
    machine.cards({}, {}, {}, {})
    machine.sweep(together(2), 4, cuda_device="0,1")
    _, seen = machine.done("--cuda_devices_distributed", "all")
    assert seen[:2] == ["GPU-a,GPU-b", "GPU-c,GPU-d"] and {len(each.split(",")) for each in seen} == {2}
    plan = json.loads(machine.run(*machine.flags, "--dry-run", "--json", **machine.env).stdout)
    assert [run["gpus"] for run in plan["runs"]] == [2, 2, 2, 2]


def test_a_card_without_a_uuid_is_its_number(machine):
    machine.cards({}, {"silent": ["nvmlDeviceGetUUID"]})
    machine.sweep(PLAIN, 1)
    assert machine.done("--cuda_devices_distributed", "1")[1] == ["1"]


# what an inherited CUDA_VISIBLE_DEVICES leaves


@pytest.mark.parametrize(
    ("visible", "listed", "seen"),
    [
        ("2,3", "all", ["GPU-c", "GPU-d"]),
        ("2,3", "0,1", ["GPU-c", "GPU-d"]),
        ("3", "all", ["GPU-d"]),
        ("GPU-d,GPU-b", "all", ["GPU-d", "GPU-b"]),
        ("GPU-d,GPU-b", "1", ["GPU-b"]),
        ("GPU-d,GPU-b", "GPU-b", ["GPU-b"]),
    ],
)
def test_an_inherited_list_limits_all_and_the_numbers(machine, visible, listed, seen):
    machine.cards({}, {}, {}, {})
    machine.env["CUDA_VISIBLE_DEVICES"] = visible
    machine.sweep(together(len(seen)), len(seen))
    assert machine.done("--cuda_devices_distributed", listed)[1] == seen


def test_an_inherited_list_counts_without_the_flag_too(machine):
    machine.cards({}, {}, {}, {})
    machine.env["CUDA_VISIBLE_DEVICES"] = "3,1"
    machine.sweep(PLAIN, 2, cuda_device="1,0")
    assert machine.done()[1] == ["GPU-b,GPU-d"] * 2


@pytest.mark.parametrize(
    ("visible", "flags", "says"),
    [
        ("2,3", ["--cuda_devices_distributed", "0,2"], "there is no device '2'"),
        ("2,3", ["--cuda_devices_distributed", "GPU-a"], "there is no device 'GPU-a'"),
        ("", ["--cuda_devices_distributed", "all"], "no GPU can be used"),
        ("-1", [], "no GPU can be used"),
        ("0", [], "there is no device '1'"),
    ],
)
def test_a_hidden_device_does_not_exist(machine, visible, flags, says):
    machine.cards({}, {}, {}, {})
    machine.env["CUDA_VISIBLE_DEVICES"] = visible
    machine.sweep(PLAIN, 1, cuda_device="0" if flags else "1")
    text = machine.refused(*flags)
    assert says in text and f"CUDA_VISIBLE_DEVICES={visible!r} of 4 GPUs" in text


# free memory


def test_a_device_below_the_limit_is_waited_for_and_nothing_is_lost(machine):
    machine.cards({"free_gib": 20}, {"free_gib": 4.5, "users": [[1234, 18]]})
    machine.sweep(HELD, 3)
    sweep = machine.start("--cuda_devices_distributed", "0,1", "--cuda-memory-limit", "9")
    runs = machine.waits("GPU 1 has 4.5 of 9 GiB free")
    assert [runs[index]["state"] for index in range(3)] == ["running", "waiting", "waiting"]
    why = "GPU 1 has 4.5 of 9 GiB free (pid 1234 uses 18 GiB)"
    assert runs[1]["reason"] == why
    assert f"waiting: {why}" in machine.run("status", "out/p", **machine.env).stdout
    machine.cards({"free_gib": 20}, {"free_gib": 9})
    machine.until(lambda: machine.status()[1]["state"] == "running")
    assert machine.status()[1]["reason"] == "", "it runs: nothing is waited for"
    assert machine.status()[1]["devices"] == ["GPU-b"]
    (machine.folder / "go").touch()
    output, _ = sweep.communicate(timeout=30)
    assert sweep.returncode == 0 and "3 succeeded" in output and output.count(why) == 1, output
    assert machine.seen()[:2] == ["GPU-a", "GPU-b"]


def test_each_reason_is_shown_and_one_that_stays_is_said_once(machine):
    """Three runs that wait for three reasons, and a look at the devices each second."""
    machine.cards({"lost": True}, {"lost": True}, {"free_gib": 1})
    machine.sweep(PLAIN, 3, {"cuda_device_list": ["0", "1", "2"], "zip": [["n_list", "cuda_device_list"]]})
    sweep = machine.start("--cuda-memory-limit", "9")
    for free in (1, 2, 3):
        machine.cards({"lost": True}, {"lost": True}, {"free_gib": free})
        runs = machine.waits(f"GPU 2 has {free}.0 of 9 GiB free")
    lost = ["needs 1 device, 0 alive (lost: GPU 0)", "needs 1 device, 0 alive (lost: GPU 1)"]
    assert [runs[index]["reason"] for index in range(2)] == lost
    machine.cards({}, {}, {})
    output, _ = sweep.communicate(timeout=30)
    assert sweep.returncode == 0 and "3 succeeded" in output, output
    assert [output.count(why) for why in lost] == [1, 1], output
    assert machine.seen() == ["GPU-a", "GPU-b", "GPU-c"]


def test_a_card_that_was_lost_at_the_start_goes_by_its_uuid_beside_another(machine):
    machine.cards({}, {"lost": True})
    machine.sweep(PLAIN, 1, cuda_device="0,1")
    sweep = machine.start()
    machine.waits("needs 2 devices, 1 alive (lost: GPU 1)")
    machine.cards({}, {})
    assert sweep.wait(30) == 0 and machine.seen() == ["GPU-a,GPU-b"]


@pytest.mark.parametrize(
    "flags",
    [
        ["-cuda-memory-limit", "9"],
        ["--cuda_memory_limit", "9"],
        ["--cuda-memory-limit=9"],
        ["-cuda_memory_limit", "7.5"],
        ["--cuda_memory-limit", "4.51"],
    ],
)
def test_every_spelling_of_the_limit_passes_over_a_full_device(machine, flags):
    machine.cards({"free_gib": 4.5}, {"free_gib": 9})
    machine.sweep(PLAIN, 2)
    assert machine.done("--cuda_devices_distributed", "all", *flags)[1] == ["GPU-b", "GPU-b"]


@pytest.mark.parametrize(
    "flag", ["--cuda_devices_distributed", "-cuda-devices-distributed", "--cuda-devices_distributed"]
)
def test_every_spelling_of_the_list(machine, flag):
    machine.cards({}, {})
    machine.sweep(together(2), 2)
    assert set(machine.done(flag, "0,1")[1]) == {"GPU-a", "GPU-b"}


def test_a_limit_may_be_decimal_to_the_byte(machine):
    machine.cards({"free_gib": 7.499}, {"free_gib": 7.5})
    machine.sweep(PLAIN, 1)
    assert machine.done("--cuda_devices_distributed", "0,1", "--cuda-memory-limit", "7.5")[1] == ["GPU-b"]


def test_the_limit_holds_for_the_configured_device_too(machine):
    machine.cards({"free_gib": 24}, {"free_gib": 3, "users": [[7, None]]})
    machine.sweep(PLAIN, 1, cuda_device="1")
    sweep = machine.start("--cuda-memory-limit", "4.25")
    machine.waits("GPU 1 has 3.0 of 4.25 GiB free (pid 7 uses it)")
    machine.cards({"free_gib": 24}, {"free_gib": 4.25})
    assert sweep.wait(30) == 0 and machine.seen() == ["GPU-b"]


@pytest.mark.parametrize("limit", ["0", "-1", "much", "inf", "nan", "1e99", ""])
def test_a_limit_that_is_no_number_of_gib(machine, limit):
    machine.cards({})
    machine.sweep(PLAIN, 1)
    assert "--cuda-memory-limit" in machine.refused(f"--cuda-memory-limit={limit}")


# fairness


def test_single_gpu_runs_do_not_starve_one_of_two_gpus(machine):
    machine.cards({}, {})
    machine.sweep(HELD, 4, {"cuda_device_list": ["0", "0,1", "0", "0"], "zip": [["n_list", "cuda_device_list"]]})
    sweep = machine.start("--cuda_devices_distributed", "0,1")
    runs = machine.waits("needs 2 devices at once, 1 free")
    assert [runs[index]["state"] for index in range(4)] == ["running", "waiting", "waiting", "waiting"]
    assert (machine.folder / "order").read_text().split() == ["0"]
    (machine.folder / "go").touch()
    assert sweep.wait(30) == 0, sweep.stdout and sweep.stdout.read()
    order = (machine.folder / "order").read_text().split()
    assert order[:2] == ["0", "1"] and set(order[2:]) == {"2", "3"}
    assert machine.seen()[1] == "GPU-a,GPU-b"


# cards that fall off the bus


def test_a_lost_card_is_shown_and_skipped(machine):
    machine.cards({}, {"lost": True}, {})
    machine.sweep(together(2), 5)
    output, seen = machine.done("--cuda_devices_distributed", "all")
    assert set(seen) == {"GPU-a", "GPU-c"} and "GPU 1 is lost" in output


def test_a_card_that_is_lost_while_the_sweep_runs_and_comes_back(machine):
    machine.cards({}, {})
    machine.sweep(HELD, 3)
    sweep = machine.start("--cuda_devices_distributed", "0,1")
    machine.until(lambda: [run["state"] for run in machine.status().values()] == ["running", "running", "waiting"])
    machine.cards({"lost": True}, {"lost": True})
    (machine.folder / "go").touch()
    runs = machine.waits("lost: GPU 0, GPU 1")
    assert [runs[index]["state"] for index in range(3)] == ["succeeded", "succeeded", "waiting"]
    machine.cards({"lost": True}, {})
    assert sweep.wait(30) == 0 and machine.seen()[2] == "GPU-b"


# without the flag


def test_without_the_flag_one_run_at_a_time_on_the_configured_devices(machine):
    machine.cards({}, {}, {})
    machine.sweep(ONE + PLAIN, 4, cuda_device="2,1")
    assert machine.done()[1] == ["GPU-c,GPU-b"] * 4


def test_without_the_flag_and_a_device_it_is_the_first(machine):
    machine.cards({}, {})
    machine.sweep(ONE + PLAIN, 2)
    assert machine.done()[1] == ["GPU-a"] * 2
    assert machine.done("--cuda_device", "1", "--rerun")[1] == ["GPU-a", "GPU-b"] * 2


def test_without_the_flag_each_run_has_its_own_device(machine):
    machine.cards({}, {})
    machine.sweep(PLAIN, 3, {"cuda_device_list": [1, "0", "0,1"], "zip": [["n_list", "cuda_device_list"]]})
    assert machine.done()[1] == ["GPU-b", "GPU-a", "GPU-a,GPU-b"]


# nothing is forgotten


def test_what_a_killed_orchestrator_left_running_holds_its_devices(machine):
    machine.cards({}, {})
    machine.sweep(HELD, 3)
    first = machine.start("--cuda_devices_distributed", "0,1")
    machine.until(lambda: len(list(machine.folder.glob("busy-*"))) == 2)
    first.kill()
    first.wait(10)
    second = machine.start("--cuda_devices_distributed", "0,1")
    assert second.stdout
    told: list[str] = []
    while sum("still runs" in line and "adopted" in line for line in told) < 2:
        told.append(second.stdout.readline())
        assert told[-1], told
    assert [run["devices"] for run in machine.status().values()] == [["GPU-a"], ["GPU-b"], []]
    assert sorted((machine.folder / "order").read_text().split()) == ["0", "1"]
    (machine.folder / "go").touch()
    output, _ = second.communicate(timeout=30)
    assert second.returncode == 0 and len(machine.seen()) == 3, output


# refused before anything starts


@pytest.mark.parametrize(
    ("flags", "default", "says"),
    [
        (["--cuda_devices_distributed", "0"], {"cuda_device": "0,1"}, "asks for 2 devices, --cuda_devices_distributed"),
        (
            ["--cuda_devices_distributed", "0,1"],
            {"cuda_device": "4,5,6"},
            "asks for 3 devices, --cuda_devices_distributed",
        ),
        (
            ["--cuda_devices_distributed", "0,7"],
            {},
            "--cuda_devices_distributed: there is no device '7' (there are 0 (Fake 24)",
        ),
        (["--cuda_devices_distributed", "zero"], {}, "there is no device 'zero'"),
        (["--cuda_devices_distributed", "0,0"], {}, "device '0' is listed twice"),
        (["--cuda_devices_distributed", "0,GPU-a"], {}, "device 'GPU-a' is listed twice"),
        (["--cuda_devices_distributed", "GPU-"], {}, "begins several UUIDs"),
        (["--cuda_devices_distributed", ","], {}, "no device is listed"),
        ([], {"cuda_device": "5"}, "default.json: cuda_device: there is no device '5'"),
        ([], {"cuda_device": "0,1,2"}, "default.json: cuda_device: there is no device '2'"),
        (["--cuda_device", "9"], {"cuda_device": "0"}, "command line: cuda_device: there is no device '9'"),
        (["--cpu", "--cuda_devices_distributed", "0"], {}, "exclude each other"),
    ],
)
def test_devices_that_are_not_there_are_named(machine, flags, default, says):
    machine.cards({}, {})
    machine.sweep(PLAIN, 2, **default)
    text = machine.refused(*flags)
    assert says in text


@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_a_memory_limit_that_no_listed_card_can_meet_is_an_error_at_once(machine, dry):
    machine.cards({"total_gib": 24}, {"total_gib": 11.99}, {"total_gib": 80})
    machine.sweep(PLAIN, 1)
    text = machine.refused("--cuda_devices_distributed", "0,1", "--cuda-memory-limit", "25", *dry)
    assert (
        "--cuda-memory-limit: 25 GiB can never be free: in all, GPU 0 has 24 GiB, GPU 1 has 11.9 GiB "
        "(lower it, or list larger cards)" in text
    )
    machine.sweep(PLAIN, 1, cuda_device="0,2")
    assert "GPU 0 has 24 GiB, GPU 2 has 80 GiB" in machine.refused("--cuda-memory-limit", "25", *dry)
    assert "GPU 1 has" in machine.refused("--cuda_devices_distributed", "0,1", "--cuda-memory-limit", "12", *dry)
    machine.sweep(PLAIN, 1)
    machine.done("--cuda_devices_distributed", "0,1", "--cuda-memory-limit", "12", *dry)


def test_a_limit_that_a_lost_card_may_meet_is_no_error(machine):
    machine.cards({"total_gib": 8}, {"lost": True})
    machine.sweep(PLAIN, 1)
    machine.done("--cuda_devices_distributed", "0,1", "--cuda-memory-limit", "12", "--dry-run")


def test_a_dry_run_names_missing_devices_and_prints_the_plan(machine):
    machine.cards({}, {})
    machine.sweep(PLAIN, 2, cuda_device="0,5")
    done = machine.run(*machine.flags, "--dry-run", "--json", **machine.env)
    plan = json.loads(done.stdout)
    assert done.returncode == 2 and len(plan["runs"]) == 2
    (problem,) = plan["problems"]
    assert (problem["key"], problem["message"]) == ("cuda_device", "there is no device '5'")
    machine.sweep(PLAIN, 2)
    done = machine.run(*machine.flags, "--dry-run", "--json", "--cuda_devices_distributed", "0,7", **machine.env)
    plan = json.loads(done.stdout)
    assert done.returncode == 2 and len(plan["runs"]) == 2
    assert [problem["key"] for problem in plan["problems"]] == ["--cuda_devices_distributed"]
    assert machine.run(*machine.flags, "--dry-run", "--cuda-memory-limit", "much", **machine.env).returncode == 2


@pytest.mark.parametrize(
    ("flag", "value"),
    [("--cuda_devices_distributed", "all"), ("--cuda_devices_distributed", "0"), ("-cuda-memory-limit", "9")],
)
def test_the_flags_without_a_driver(machine, flag, value):
    del machine.env["FAKE_NVML"]
    machine.sweep(PLAIN, 1)
    text = machine.refused(flag, value)
    assert (
        "no NVIDIA driver is installed" in text
        and "--cpu N" in text
        and flag.replace("_", "-")[3:] in text.replace("_", "-")
    )


def test_a_driver_without_cards(machine):
    machine.cards()
    machine.sweep(PLAIN, 1)
    assert "the NVIDIA driver sees no GPU" in machine.refused("--cuda_devices_distributed", "all")


def test_without_a_driver_the_cpu_with_a_note(machine):
    del machine.env["FAKE_NVML"]
    machine.sweep(ONE + 'echo "[$CUDA_VISIBLE_DEVICES]"', 2, cuda_device="5,6")
    done = machine.run(*machine.flags, **machine.env)
    assert done.returncode == 0, done.stderr
    assert "no NVIDIA driver is installed" in done.stdout + done.stderr and "CPU" in done.stdout + done.stderr
    logs = sorted(machine.folder.glob("out/p/*/attempt-1/console.log"))
    assert [log.read_text() for log in logs] == ["[]\n", "[]\n"]


# what a run leaves behind

LEAVES = (
    "if [ $0 = 0 ]; then setsid sleep 600 & echo $! >pid; "
    + WAIT.format("[ -e go ]")
    + "fi; "
    + TELL.split("done; ")[1]
)


@pytest.mark.slow
def test_a_device_is_taken_again_when_the_last_process_of_the_run_has_let_go_of_it(machine):
    """Its child has left the group, and lives; only NVML tells that it holds memory there."""
    machine.cards({})
    machine.sweep(LEAVES, 2)
    sweep = machine.start("--cuda_devices_distributed", "0")
    pid = int(machine.until(lambda: (machine.folder / "pid").exists() and (machine.folder / "pid").read_text()))
    try:
        machine.cards({"users": [[pid, 10], [1, 3]]})
        (machine.folder / "go").touch()
        runs = machine.until(lambda: (found := machine.status())[0]["state"] == "succeeded" and found)
        assert runs[1]["state"] == "waiting"
    finally:
        os.kill(pid, signal.SIGKILL)
    machine.cards({"users": [[pid, 10], [1, 3]]})  # a dead process, and another program's: not this run's
    output, _ = sweep.communicate(timeout=30)
    assert sweep.returncode == 0 and "occupied" not in output, output


@pytest.mark.parametrize("cards", [None, []])
def test_a_real_trainer_never_trains_on_the_cpu_unasked(machine, cards):
    make_repo(machine.folder / "repo")
    machine.env.pop("FAKE_NVML") if cards is None else machine.cards(*cards)
    machine.sweep(PLAIN, 1, cuda_device="0")
    files = [*machine.flags, "--set", "trainer=sd-scripts", "--set", f"repo_dir={machine.folder}/repo", "--dry-run"]
    text = machine.run(*files, **machine.env).stderr
    assert text.count("no GPU can be used here") == 1 and "on the CPU" not in text.replace("trains on the CPU", "")
    assert "; sd-scripts needs one (--cpu N trains on the CPU, N runs at a time)" in text
    assert "no GPU" not in machine.run(*files, "--cpu", "1", **machine.env).stderr
