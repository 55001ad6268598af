"""The sampler as a process against a real server: what it makes, what it leaves, what it says."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sampler_kit import Sweep, assert_clean
from webui_kit import Double, running, until

from automate_train.config.prompts import Prompt
from automate_train.sampling.batch import prompt_key


@pytest.fixture
def double(tmp_path: Path) -> Iterator[Double]:
    with running(tmp_path / "server", seconds=0.01, last_sleep=0.05) as found:
        yield found


def test_every_checkpoint_gets_its_pictures(double, tmp_path):
    double.control(files=["theirs/x.safetensors"])
    sweep = Sweep(tmp_path / "a", [double.url], "a cat --d 1\na dog --n ugly --l 7\n")
    attempt = sweep.run("k0", epochs=2)
    code, said = sweep.sample()
    assert (code, sweep.states()) == (0, {"done": 4}), said
    names = ["k0-000001_00", "k0-000001_01", "k0_00", "k0_01"]
    assert [name.removeprefix("000-k0/") for name in sweep.pictures()] == [f"{name}.json" for name in names]
    dog = sweep.pictures()["000-k0/k0_01.json"]
    assert (dog["prompt"], dog["epoch"], dog["step"], dog["checkpoint"]) == (1, 2, 20, "k0.safetensors")
    assert dog["lora"] in dog["text"] and dog["negative"] == "ugly" and f"Seed: {dog['seed']}," in dog["infotext"]
    assert dog["parameters"]["cfg_scale"] == 7 and dog["server"] == double.url
    assert dog["words"] == "a dog" and dog["prompt_key"] == prompt_key(1, Prompt("a dog", "ugly"))
    assert dog["prompt_digest"] == hashlib.sha256(sweep.prompts.read_bytes()).hexdigest()
    assert sweep.pictures()["000-k0/k0_00.json"]["prompt_key"] == "", "a seed of its own was not drawn"
    seeds = {name[-7:-5]: about["seed"] for name, about in sweep.pictures().items()}
    assert len({about["seed"] for about in sweep.pictures().values()}) == 2 and seeds["00"] == 1
    assert (attempt.samples / "k0-000001.final").exists() and (attempt.samples / "k0.final").exists()
    assert sweep.left_over() == []
    assert_clean(double, "theirs/x.safetensors")
    before = double.log()["tasks"]
    assert sweep.sample()[0] == 0 and double.log()["tasks"] == before


def test_baselines_weights_and_seeds(double, tmp_path):
    """A baseline is drawn once for the sweep, a drawn seed is the same for all its checkpoints and restarts."""
    sweep = Sweep(tmp_path / "a", [double.url])
    prompts = tmp_path / "prompts.json"
    prompts.write_text(
        json.dumps([{"prompt": "a cat", "lora_weights": [0.6, 1], "baseline": True}, {"prompt": "a dog"}])
    )
    for key in ("k0", "k1"):
        sweep.run(key, epochs=1, prompt_path=str(prompts))
    assert sweep.sample()[0] == 0
    assert {name.partition("/")[2] for name in sweep.pictures() if "k1" in name} == {
        "k1_00_w0.6.json", "k1_00_w1.json", "k1_01.json"}  # fmt: skip
    [baseline] = [json.loads(p.read_text()) for p in (sweep.folder.path / "baseline").glob("00_*.json")]
    cats = [about for about in sweep.pictures().values() if about["prompt"] == 0]
    assert {about["seed"] for about in cats} == {baseline["seed"]} and "lora" not in baseline["text"]
    assert [about["text"].rpartition(":")[2] for about in cats] == ["0.6>", "1>"] * 2
    assert len(double.log()["tasks"]) == 7
    sweep.run("k2", epochs=1, prompt_path=str(prompts))
    assert sweep.sample()[0] == 0 and len(double.log()["tasks"]) == 10
    assert {about["seed"] for about in sweep.pictures().values() if about["prompt"] == 0} == {baseline["seed"]}


def test_every_second_epoch_and_the_last(double, tmp_path):
    sweep = Sweep(tmp_path / "a", [double.url], sample_opt="epoch", sample_num=2)
    sweep.run("k0", epochs=5)
    sweep.run("k1", epochs=5, sample_opt="None")
    sweep.run("k2", epochs=5, use_external_webui=False)
    assert sweep.sample()[0] == 0
    assert [name[7:] for name in sweep.pictures()] == ["k0-000002_00.json", "k0-000004_00.json", "k0_00.json"]


def test_old_checkpoints_with_new_prompts(double, tmp_path):
    """Long after the sweep, on a server that it never knew, from another folder."""
    sweep = Sweep(tmp_path / "a", [], use_external_webui=False, prompt_path="prompts.txt")
    for key in ("k0", "k1"):
        sweep.run(key, epochs=3)
    new = tmp_path / "new.txt"
    new.write_text("a boat --d 5\n")
    code, said = sweep.sample("--prompt_path", str(new), "--webui_url", double.url, "--only", "1", "--epochs", "1,3")
    assert code == 0, said
    assert [(name[7:12], about["text"][:6]) for name, about in sweep.pictures().items()] == [
        ("k1-00", "a boat"),
        ("k1_00", "a boat"),
    ]
    assert all(re.search(r"_00_p[0-9a-f]{4}\.json$", name) for name in sweep.pictures())
    assert sweep.sample("--webui-url", double.url, "--only", "0")[0] == 0
    assert "000-k0/k0_00.json" in sweep.pictures() and len(sweep.pictures()) == 5


def test_an_edited_prompt_file_makes_new_pictures_beside_the_old(double, tmp_path):
    sweep = Sweep(tmp_path / "a", [double.url])
    sweep.run("k0", epochs=1)
    assert sweep.sample()[0] == 0
    sweep.prompts.write_text("another cat --d 1\n")
    assert sweep.sample()[0] == 0
    assert sorted(about["text"][:5] for about in sweep.pictures().values()) == ["a cat", "anoth"]


def test_while_the_sweep_runs(double, tmp_path):
    """A line: look again. Rotation takes checkpoints away; an orchestrator that was killed has journaled nothing."""
    double.set(seconds=0.2)
    sweep = Sweep(tmp_path / "a", [double.url])
    attempt = sweep.run("k0", ended=False)
    process = sweep.start("--follow")
    assert process.stdin is not None
    for epoch in (1, 2, 3):
        file = attempt.save(epoch, told=epoch != 2)
        process.stdin.write("checkpoint\n")
        process.stdin.flush()
        until(lambda: (attempt.samples / ".pending" / file.name).exists())  # noqa: B023
        file.unlink()
    until(lambda: sweep.states()["done"] == 3 and (attempt.samples / "k0-000003.final").exists())
    assert process.poll() is None
    until(lambda: double.log()["files"] == [])
    attempt.save(4, last=True, told=False)
    attempt.end()
    said = process.communicate(timeout=30)[0]
    assert process.returncode == 0 and sweep.states() == {"done": 4}, said
    assert sweep.left_over() == []


def test_a_checkpoint_that_is_gone_is_said_and_left_out(double, tmp_path):
    sweep = Sweep(tmp_path / "a", [double.url])
    attempt = sweep.run("k0", epochs=2)
    (attempt.path / "output" / "k0-000001.safetensors").unlink()
    code, said = sweep.sample()
    assert code == 1 and "k0-000001.safetensors is gone" in said and sweep.states() == {"done": 1}


def test_half_a_checkpoint_is_not_sent(double, tmp_path):
    sweep = Sweep(tmp_path / "a", [double.url])
    attempt = sweep.run("k0", epochs=1)
    with open(attempt.path / "output" / "k0.safetensors", "r+b") as file:
        file.truncate(50_000)
    code, said = sweep.sample()
    assert code == 1 and sweep.states() == {"failed": 1} and "not a whole .safetensors" in said
    assert double.log()["uploads"] == []


@pytest.mark.parametrize("name", ["hook_backfill_images.py", "log_pictures.py"])  # the second: the first edition's
def test_late_pictures_go_into_the_trackers_once(double, tmp_path, name):
    """The hook's own script is run with the trainer's Python, after the run has ended and its samples are final."""
    sweep = Sweep(tmp_path / "a", [double.url])
    attempt = sweep.run("k0", epochs=2)
    (attempt.path / "hook").mkdir()
    (attempt.path / "hook.json").write_text(json.dumps({"trackers": {"with": "tensorboard"}}))
    script = "print('called', file=open('calls.txt', 'a')); print('pictures logged: 2')"
    (attempt.path / "hook" / name).write_text(script)
    (attempt.path / "launch.json").write_text(json.dumps({"argv": [sys.executable], "cwd": str(tmp_path), "env": {}}))
    code, said = sweep.sample()
    assert code == 0 and "pictures logged: 2" in said
    assert len((tmp_path / "calls.txt").read_text().splitlines()) == 1
    assert sweep.sample()[0] == 0 and len((tmp_path / "calls.txt").read_text().splitlines()) == 1
    (attempt.path / "hook" / name).write_text("raise SystemExit('no tracker')")
    (attempt.samples / ".logged").unlink()
    code, said = sweep.sample()
    assert code == 0 and "ended with 1" in said


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--epochs", "x"], "is not a number or a range"),
        (["--outage-limit", "soon"], "is not a number of seconds"),
        (["--prompt_paht", "x"], "did you mean --prompt-path"),
        (["--prompt-path", "none.txt"], "none.txt"),
    ],
)
def test_wrong_flags(double, tmp_path, flags, words):
    sweep = Sweep(tmp_path / "a", [double.url])
    sweep.run("k0", epochs=1)
    code, said = sweep.sample(*flags)
    assert code in (1, 2) and words in said and "Traceback" not in said


def test_a_folder_without_a_sweep(tmp_path):
    command = [sys.executable, "-m", "automate_train", "sample", str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 2 and "no sweep's journal is here" in ran.stderr
