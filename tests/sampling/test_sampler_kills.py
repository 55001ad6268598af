"""Killed at any moment and started again: every picture once, the server clean, everybody else untouched."""

from __future__ import annotations

import json
import random
import subprocess
import time
from pathlib import Path

import pytest
from sampler_kit import Sweep, assert_clean
from webui_kit import running

from automate_train.records import Checkpoint

PROMPTS = [
    {"prompt": "a cat", "seed": 3, "lora_weights": [0.6, 1.0], "baseline": True},
    {"prompt": "a dog"},
    {"prompt": "a cow <lora:NAME:0.5>", "regex_to_replace": "NAME"},
]


PICTURES = 8 * 4 * 4
"""Eight runs, four checkpoints, the prompts with their weights."""


def kill_until_done(sweep: Sweep, rng: random.Random, kills: int, longest: float) -> int:
    """The number of sessions that were killed; then one runs to its end."""
    killed = 0
    while killed < kills:
        process = sweep.start()
        time.sleep(rng.uniform(0.05, longest))
        if process.poll() is None:
            killed += 1
        elif process.returncode == 0:
            break
        process.kill()
        process.communicate()
    code, said = sweep.sample(seconds=120)
    assert code == 0, said
    return killed


@pytest.mark.slow
def test_killed_at_random_moments(tmp_path: Path):
    rng = random.Random(3)
    with running(tmp_path / "server", seconds=0.2, last_sleep=0.4) as double:
        double.control(files=["theirs/x.safetensors"], tasks=[{"prompt": "theirs", "seed": 3}])
        sweep = Sweep(tmp_path / "a", [double.url])
        prompts = tmp_path / "prompts.json"
        prompts.write_text(json.dumps(PROMPTS))
        for number in range(8):
            sweep.run(f"k{number}", epochs=4, prompt_path=str(prompts))
        killed = kill_until_done(sweep, rng, 30, 1.1)
        double.control(tasks=[{"prompt": "theirs too", "seed": 3}])
        assert killed == 30, "more work is needed for so many kills"
        assert sweep.states() == {"done": PICTURES}
        assert [about["state"] for about in baselines(sweep)] == ["done"]
        assert sweep.left_over() == []
        assert_clean(double, "theirs/x.safetensors")
        tasks = [task["params"]["prompt"] for task in double.log()["tasks"]]
        assert tasks.count("theirs") == tasks.count("theirs too") == 1
        assert [
            task for task in double.log()["tasks"] if "at-" in task["params"]["prompt"] and task["status"] == "pending"
        ] == []
        drawn = [each for each in double.log()["pictures"] if "at-" in each["prompt"]]
        assert len(drawn) <= PICTURES + 2 * killed, "a restart goes on where it was"


def baselines(sweep: Sweep) -> list[dict]:
    return [json.loads(file.read_text()) for file in (sweep.folder.path / "baseline").glob("*.json")]


def test_killed_before_it_could_clean_up(tmp_path: Path):
    """All pictures are there, the LoRA still lies on the server: the next session has only this to do."""
    with running(tmp_path / "server", seconds=0.01, last_sleep=0.2) as double:
        double.fault({"on": "POST /delete/lora_model", "what": "error-before", "times": -1})
        sweep = Sweep(tmp_path / "a", [double.url])
        sweep.run("k0", epochs=2)
        process = sweep.start()
        while sweep.states()["done"] != 2:
            assert process.poll() is None
            time.sleep(0.02)
        process.kill()
        process.communicate()
        assert len(double.log()["files"]) == 2
        double.control(clear=True)
        tasks = double.log()["tasks"]
        assert sweep.sample()[0] == 0
        assert_clean(double)
        assert double.log()["tasks"] == tasks


def test_two_samplers_of_one_sweep(tmp_path: Path):
    with running(tmp_path / "server", seconds=0.05) as double:
        sweep = Sweep(tmp_path / "a", [double.url])
        sweep.run("k0", epochs=1)
        busy = {"on": "POST /agent-scheduler/v1/queue/txt2img", "what": "status", "status": 503, "times": -1}
        double.fault(busy)  # the first one gets no picture drawn
        first = sweep.start()
        while not double.log()["uploads"]:
            time.sleep(0.02)
        code, said = sweep.sample()
        assert code == 2 and str(first.pid) in said
        second = sweep.start("--follow")  # of a sweep that was started again: it waits for its turn
        sweep.run("k1", epochs=1)
        double.control(clear=True)
        assert first.communicate(timeout=120) and first.returncode == 0
        assert second.communicate(timeout=120) and second.returncode == 0 and sweep.states() == {"done": 2}


def test_a_full_disk_is_said(tmp_path: Path):
    with running(tmp_path / "server", seconds=0.01) as double:
        sweep = Sweep(tmp_path / "a", [double.url])
        attempt = sweep.run("k0", epochs=1)
        attempt.samples.mkdir()
        (attempt.samples / ".k0_00.png.half").mkdir()  # what cannot be written
        code, said = sweep.sample()
        assert code == 2 and ".k0_00.png.half" in said and "Traceback" not in said
        assert_clean(double)


def test_two_sweeps_on_one_server(tmp_path: Path):
    """The same run and file names, the same prompts and seeds, at the same time, one of them killed and restarted."""
    with running(tmp_path / "server", seconds=0.05) as double:
        sweeps = [Sweep(tmp_path / name, [double.url], "a cat --d 1\na dog --d 2\n") for name in "ab"]
        for sweep in sweeps:
            for key in ("k0", "k1"):
                sweep.run(key, epochs=2)
        first, second = (sweep.start() for sweep in sweeps)
        while not sweeps[0].states()["done"]:
            time.sleep(0.02)
        first.kill()
        first.communicate()
        assert sweeps[0].sample()[0] == 0
        assert second.communicate(timeout=30) and second.returncode == 0
        for sweep in sweeps:
            assert sweep.states() == {"done": 8}
            names = {about["lora"] for about in sweep.pictures().values()}
            assert len(names) == 4 and all(name in about["infotext"] for name in names for about in
                                           sweep.pictures().values() if about["lora"] == name)  # fmt: skip
        assert not {a["lora"] for a in sweeps[0].pictures().values()} & {
            a["lora"] for a in sweeps[1].pictures().values()
        }
        assert_clean(double)


@pytest.mark.slow
def test_memory_stays_small(tmp_path: Path):
    """A gigabyte of a checkpoint (a file with a hole) is read by blocks and never held."""
    with running(tmp_path / "server", seconds=0.01) as double:
        sweep = Sweep(tmp_path / "a", [double.url])
        attempt = sweep.run("k0")
        from webui_kit import lora

        file = lora(
            attempt.path / "output" / "k0.safetensors", tensors=1 << 30, fill=0, metadata={"sshs_model_hash": "ab" * 32}
        )
        sweep.journal.add_checkpoint(attempt.begun.id, Checkpoint(str(file), "last", 1, 10, 1.0))
        process = subprocess.Popen(sweep.command(), stdout=subprocess.PIPE, text=True)
        most = 0
        while process.poll() is None:  # its own high-water mark: what wait4 tells counts the parent's memory too
            lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
            most = max([most, *(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))])
            time.sleep(0.02)
        assert process.returncode == 0, process.stdout and process.stdout.read()
        assert 10_000 < most < 100_000, "KiB"
        assert sweep.states() == {"done": 1}
