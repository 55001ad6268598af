"""Several sweeps on one machine's cards: whole sweeps of real processes, which prove that no two share a device."""

from __future__ import annotations

import contextlib
import os
import signal

import pytest
from machine_kit import ALONE, HELD, PLAIN, TELL, Machine, mounted

SHORT = ALONE + "sleep 0.02; " + TELL


def in_folder(name: str) -> list[str]:
    return ["--set", f"temp_dir={name}"]


def waits_in(machine: Machine, sweep: str, text: str) -> str:
    """A run's reason to wait in the sweep of this folder, as soon as it holds `text`."""

    def look() -> str | None:
        told = machine.run("status", f"{sweep}/p", **machine.env).stdout
        return told if text in told else None

    return str(machine.until(look))


@pytest.mark.parametrize("count", [1, 2])
def test_sweeps_that_start_at_the_same_moment_share_no_device(machine, count):
    """A run that finds its device's folder taken ends with 7."""
    machine.cards(*[{} for _ in range(count)])
    machine.sweep(SHORT, 4)
    flags = ["--cuda_devices_distributed", "all"]
    sweeps = [machine.start(*flags, *in_folder(f"out{number}")) for number in range(8)]
    outputs = [sweep.communicate(timeout=120)[0] for sweep in sweeps]
    assert [sweep.returncode for sweep in sweeps] == [0] * 8, outputs
    assert all("4 succeeded" in output for output in outputs)


def test_who_holds_a_device_is_said_and_another_device_is_taken_meanwhile(machine):
    machine.cards({}, {})
    machine.sweep(HELD, 1)
    first = machine.start("--cuda_device", "0", *in_folder("first"))
    machine.until(lambda: (machine.folder / "busy-GPU-a").exists())
    machine.sweep(HELD, 2)
    second = machine.start("--cuda_devices_distributed", "0,1", *in_folder("second"))
    machine.until(lambda: (machine.folder / "busy-GPU-b").exists())
    why = f"GPU 0 is reserved by another sweep (pid {first.pid}, {machine.folder}/first/p)"
    waits_in(machine, "second", why)
    (machine.folder / "go").touch()
    assert (first.wait(60), second.wait(60)) == (0, 0)
    assert second.stdout and second.stdout.read().count(why) == 1


def test_a_device_is_reserved_while_its_run_lives_though_nobody_drives_the_sweep(machine):
    """And no longer: when the run has ended, nothing is left that somebody would have to clear away."""
    machine.cards({})
    machine.sweep(HELD, 1)
    first = machine.start("--cuda_device", "0", *in_folder("first"))
    machine.until(lambda: (machine.folder / "busy-GPU-a").exists())
    first.kill()
    first.wait(10)
    second = machine.start("--cuda_device", "0", *in_folder("second"))
    waits_in(machine, "second", "GPU 0 is reserved by another sweep")
    (machine.folder / "go").touch()
    assert second.wait(60) == 0
    third = machine.start("--cuda_device", "0", *in_folder("first"))
    assert third.wait(60) == 0, "the killed sweep goes on"


def test_a_process_that_a_run_leaves_behind_reserves_nothing(machine):
    """A daemon that a trainer starts lives for months; the memory limit tells whether it uses the device."""
    machine.cards({})
    machine.sweep("setsid sleep 60 >/dev/null 2>&1 & echo $! >daemon", 1)
    assert machine.start("--cuda_device", "0", *in_folder("first")).wait(60) == 0
    try:
        assert machine.start("--cuda_device", "0", *in_folder("second")).wait(60) == 0
    finally:
        os.kill(int((machine.folder / "daemon").read_text()), signal.SIGKILL)


def test_a_folder_that_cannot_be_used_is_said_and_the_sweep_runs(machine):
    machine.cards({})
    machine.sweep(PLAIN, 1)
    machine.env["AUTOMATE_TRAIN_RESERVATIONS"] = str(machine.folder / "gone")
    output, seen = machine.done()
    assert seen == ["GPU-a"]
    assert output.count("these GPUs cannot be reserved") == 1 and "gone" in output


DONE = "; echo $0 >>trained"
"""Which run has trained to its end."""


def trained(machine: Machine) -> list[str]:
    return sorted((machine.folder / "trained").read_text().split())


def test_a_run_that_is_adopted_keeps_its_device_from_others_and_then_gives_it_back(machine):
    machine.cards({})
    machine.sweep(HELD + DONE, 2)
    first = machine.start("--cuda_device", "0", *in_folder("first"))
    machine.until(lambda: (machine.folder / "busy-GPU-a").exists())
    for _ in range(2):
        first.kill()
        first.wait(10)
        first = machine.start("--cuda_device", "0", *in_folder("first"))
        waits_in(machine, "first", f"pid {first.pid}")
    second = machine.start("--cuda_device", "0", *in_folder("second"))
    waits_in(machine, "second", "GPU 0 is reserved by another sweep")
    (machine.folder / "go").touch()
    said = first.communicate(timeout=60)[0]
    assert (first.returncode, second.wait(60)) == (0, 0), said
    assert said.count("), adopted") == 1 and trained(machine) == ["0", "0", "1", "1"]
    assert len(list(machine.folder.glob("first/p/*/attempt-*"))) == 2, "none was started twice"


NAN = (
    """for n in 1 2 3; do echo '{"at": 1, "kind": "metrics", "step": 1, "nan": true}'; done """
    ">>$AUTOMATE_TRAIN_EVENTS; "
)


def test_a_run_that_diverged_gives_its_device_back(machine):
    """Also one that its sweep left alone: the next one ends it, and everybody may have the device then."""
    machine.cards({})
    waiting = ALONE + "until [ -e nan ]; do sleep 0.02; done; " + NAN + 'rmdir "busy-$d"; exec sleep 60'
    machine.sweep(waiting, 1)
    first = machine.start("--cuda_device", "0", *in_folder("first"))
    machine.until(lambda: (machine.folder / "busy-GPU-a").exists())
    machine.sweep(PLAIN, 1)
    second = machine.start("--cuda_device", "0", *in_folder("second"))
    waits_in(machine, "second", "GPU 0 is reserved by another sweep")
    first.kill()
    first.wait(10)
    machine.sweep(waiting, 1)
    again = machine.start("--cuda_device", "0", *in_folder("first"))
    (machine.folder / "nan").touch()
    said = again.communicate(timeout=60)[0]
    assert again.returncode == 1 and "diverged" in said, said
    assert second.wait(60) == 0


@pytest.mark.slow
def test_a_disk_that_is_full_while_a_device_is_reserved(machine, tmp_path):
    """Whatever could not be written: the device is free again, and the same command finishes what is left."""
    with mounted(tmp_path / "small", "2m") as disk:
        machine.cards({})
        machine.sweep(HELD + DONE, 2)
        first = machine.start("--cuda_device", "0", *in_folder(str(disk)))
        machine.until(lambda: (machine.folder / "busy-GPU-a").exists())
        ballast = disk / "ballast"
        with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(b"\0" * 4096):
                pass
        (machine.folder / "go").touch()
        said = first.communicate(timeout=60)[0]
        assert first.returncode in (1, 2) and "Traceback" not in said, said
        machine.until(lambda: not (machine.folder / "busy-GPU-a").exists())
        machine.sweep(PLAIN, 1)
        assert machine.start("--cuda_device", "0", *in_folder("second")).wait(60) == 0, "the device is free"
        ballast.unlink()
        machine.sweep(HELD + DONE, 2)
        again = machine.start("--cuda_device", "0", *in_folder(str(disk)))
        said = again.communicate(timeout=60)[0]
        assert again.returncode == 0, said
        assert set(trained(machine)) == {"0", "1"} and trained(machine).count("1") == 1
