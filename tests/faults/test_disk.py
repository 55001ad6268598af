"""The disk: full for a while, limited, read-only; a journal that something has damaged between two starts."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import time
from pathlib import Path

import pytest
from ground import SEED, Ground, told, until
from machine_kit import mounted

SMALL = [pytest.param(8, 3, marks=pytest.mark.slow), pytest.param(40, 30, marks=pytest.mark.faults)]


def resize(disk: Path, free: int | None) -> None:
    """Leave so many bytes free; None: as much as the preflight asks for."""

    def done() -> bool:
        there = os.statvfs(disk)
        size = "2g" if free is None else str((there.f_blocks - there.f_bfree) * there.f_frsize + free)
        command = ["mount", "-o", f"remount,size={size}", str(disk)]
        return subprocess.run(command, capture_output=True).returncode == 0

    if free is None:
        until(done, 10, lambda: "the tmpfs cannot be made larger")
    else:
        done()  # what is written in this moment may not fit: then the disk is full at another moment


def tried_until_done(ground: Ground, tries: int) -> None:
    """The same command until it is done; while the disk is bad it may say so (2) or have failed runs (1)."""
    ground.finish(allowed=(1, 2), tries=tries)


@pytest.mark.parametrize(("runs", "rounds"), SMALL)
def test_files_may_not_grow(tmp_path: Path, runs: int, rounds: int):
    """RLIMIT_FSIZE: every write beyond some kilobytes fails, the journal's first."""
    began, ground, codes = time.monotonic(), Ground(tmp_path, runs, SEED), []
    for _ in range(rounds):
        limit = int(ground.random.uniform(30_000, 400_000))
        process = ground.start(preexec_fn=lambda limit=limit: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
        codes.append(process.wait(60))
    assert set(codes) <= {0, 1, 2}, ground.words()
    tried_until_done(ground, 3)
    ground.check(each_trained_once=False)
    told(f"{rounds} starts under a file limit of 30 to 400 kB ({codes.count(2)} refused), "
         f"{time.monotonic() - began:.0f} s")  # fmt: skip


@pytest.mark.parametrize(("runs", "rounds"), SMALL)
def test_the_disk_is_full_for_a_while(tmp_path: Path, runs: int, rounds: int):
    with mounted(tmp_path / "small", "2g") as disk:
        began, ground, codes = time.monotonic(), Ground(tmp_path, runs, SEED, disk), []
        for _ in range(rounds):
            process = ground.start()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(ground.random.uniform(0.3, 0.9))
            resize(disk, ground.random.choice([0, 0, 4096, 65536]))
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(ground.random.uniform(0.2, 1))
            resize(disk, None)
            codes.append(process.wait(60))
        assert set(codes) <= {0, 1, 2}, ground.words()
        tried_until_done(ground, 4)
        ground.check(each_trained_once=False)
        told(f"{rounds} times full, exit codes {sorted(set(codes))}, {time.monotonic() - began:.0f} s")


@pytest.mark.slow
def test_a_read_only_disk_is_said_before_anything_starts(tmp_path: Path):
    with mounted(tmp_path / "small", "2g") as disk:
        ground = Ground(tmp_path, 4, SEED, disk)
        ground.strike(1.0, signal.SIGTERM, least=0.4)
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        assert ground.start().wait(60) == 2 and "temp_dir" in ground.words()
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
        ground.finish(allowed=(1,), tries=3)
        ground.check(each_trained_once=False)


def damage(ground: Ground) -> str:
    """Change the journal, its WAL or its index at random places, cut it off, or take it away."""
    dice = ground.random
    files = [
        path for path in ground.sweep.glob("journal.sqlite*") if "damaged" not in path.name and path.stat().st_size
    ]
    if not files:
        return "none"
    file = dice.choice(files)
    how = dice.choice(["bytes", "bytes", "bytes", "cut", "gone", "zeros"])
    size = file.stat().st_size
    if how == "gone":
        file.unlink()
    elif how == "cut":
        os.truncate(file, dice.randrange(size))
    else:
        with file.open("r+b", buffering=0) as opened:
            for _ in range(dice.choice([1, 1, 8, 64])):
                opened.seek(dice.randrange(size))
                opened.write(b"\0" * 512 if how == "zeros" else bytes([dice.randrange(256)]))
    return f"{file.suffix}:{how}"


@pytest.mark.parametrize(("runs", "rounds"), SMALL)
def test_the_journal_is_damaged_between_two_starts(tmp_path: Path, runs: int, rounds: int):
    began, ground, what = time.monotonic(), Ground(tmp_path, runs, SEED), []
    for _ in range(rounds):
        ground.strike(1.0, least=0.3)
        what.append(damage(ground))
    ground.finish()
    ground.check()
    told(f"{rounds} damaged journals ({', '.join(sorted(set(what)))}), {time.monotonic() - began:.0f} s")


def test_the_runners_own_disk_is_not_what_is_filled(tmp_path: Path):
    """The ballast lies on a mount of its own, or the test is skipped: never on the disk of whoever runs this."""
    with mounted(tmp_path / "small", "1m") as disk:
        assert os.stat(disk).st_dev != os.stat(tmp_path).st_dev
