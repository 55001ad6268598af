"""The sampler as a process against a real server: what it makes, what it leaves, what it says."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import webui_kit
from sampler_kit import Sweep, assert_clean
from webui_kit import Double, running, until

from automate_train.config.prompts import Prompt
from automate_train.sampling.batch import prompt_key
from automate_train.sampling.context import Limits
from automate_train.sampling.planner import SampleSelection
from automate_train.sampling.servers.png import read_png
from automate_train.sampling.session import run
from automate_train.store.layout import SweepFolder


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
    assert ran.returncode == 2 and "there is no sweep here" in ran.stderr


@pytest.mark.parametrize("how", ["moved", "copied"])
def test_a_sweep_in_another_place(double, tmp_path, how):
    """The journal and the events of old sweeps name checkpoints by absolute paths."""
    sweep = Sweep(tmp_path / "a", [double.url])
    attempt = sweep.run("k0", epochs=1)
    old = attempt.path / "output" / "k0.safetensors"
    size = old.stat().st_size
    (shutil.move if how == "moved" else shutil.copytree)(tmp_path / "a" / "out", tmp_path / "b")
    if how == "copied":
        webui_kit.lora(old, 300_000, fill=9)  # another file stands in the old place now
    sweep.folder = SweepFolder(tmp_path / "b", "p")
    code, said = sweep.sample()
    assert (code, sweep.states()) == (0, {"done": 1}), said
    assert [each["bytes"] for each in double.log()["uploads"]] == [size]


def test_another_base_model_makes_an_error_of_the_picture(double, tmp_path):
    sweep = Sweep(tmp_path / "a", [double.url])
    sweep.run("k0", epochs=1)
    assert sweep.sample()[0] == 0
    double.kill()
    double.settings["model"] = "other_model"
    double.start()
    sweep.run("k1", epochs=1)
    code, said = sweep.sample()
    assert code == 1 and sweep.states() == {"done": 1, "wrong checkpoint": 1}, said
    reason = sweep.pictures()["001-k1/k1_00.json"]["reason"]
    assert "other_model" in reason and "base_model" in reason
    assert "has base model 'other_model" in said
    named = tmp_path / "named.json"
    named.write_text('[{"prompt": "a cat", "checkpoint": "other_model"}]')
    assert sweep.sample("--prompt-path", str(named))[0] == 0, "a prompt that names its model is free"


def test_two_servers_with_different_base_models(double, tmp_path):
    with running(tmp_path / "second", seconds=0.01, last_sleep=0.05, model="other_model") as second:
        sweep = Sweep(tmp_path / "a", [double.url, second.url])
        sweep.run("k0", epochs=6)
        code, said = sweep.sample()
        first = {about["server"] for about in sweep.pictures().values() if about["state"] == "done"}
        assert code == 1 and set(sweep.states()) == {"done", "wrong checkpoint"} and len(first) == 1, said


def test_a_lora_that_does_nothing_is_told(double, tmp_path):
    double.set(no_effect=True)
    sweep = Sweep(tmp_path / "a", [double.url])
    prompts = tmp_path / "p.json"
    prompts.write_text('[{"prompt": "a cat", "baseline": true}, {"prompt": "a dog"}]')
    sweep.run("k0", epochs=1, prompt_path=str(prompts))
    code, said = sweep.sample()
    assert code == 0 and "k0_00.png: equal to its baseline" in said and "k0_01.png" not in said
    assert "did nothing" in sweep.pictures()["000-k0/k0_00.json"]["reason"]
    double.set(no_effect=False)
    sweep.run("k1", epochs=1, prompt_path=str(prompts))
    assert "equal to its baseline" not in sweep.sample()[1]


@pytest.mark.parametrize("settings", [{"hash_of_file": True}, {"sdnext": True}])
def test_other_servers_prove_the_lora_in_their_own_way(double, tmp_path, settings):
    """Forge: the hash of the whole file. SD.Next: the name under another word."""
    double.set(**settings)
    sweep = Sweep(tmp_path / "a", [double.url])
    sweep.run("k0", epochs=1)
    code, said = sweep.sample()
    assert (code, sweep.states()) == (0, {"done": 1}), said


def test_what_came_with_the_picture_is_kept_beside_it(double, tmp_path):
    double.set(map_size="32x32")
    sweep = Sweep(tmp_path / "a", [double.url])
    unit = {"controlnet": {"args": [{"enabled": True}]}}
    prompts = tmp_path / "p.json"
    prompts.write_text(json.dumps([{"prompt": "a cat", "width": 64, "height": 64, "alwayson_scripts": unit}]))
    attempt = sweep.run("k0", epochs=1, prompt_path=str(prompts))
    assert sweep.sample()[0] == 0 and sweep.states() == {"done": 1}
    widths = {file.name: read_png(file.read_bytes()).width for file in attempt.samples.glob("*.png")}
    assert widths == {"k0_00.png": 64, "k0_00.other1.png": 32}


def test_the_summary_counts_the_whole_sweep(double, tmp_path):
    sweep = Sweep(tmp_path / "a", [double.url], "a cat\na dog\n")
    attempt = sweep.run("k0", epochs=2)
    assert "4 samples: 4 done" in sweep.sample()[1]
    assert "nothing to do: 4 done" in sweep.sample()[1]
    (attempt.samples / "k0_01.json").unlink()
    double.fault({"on": "POST /agent-scheduler/v1/queue/txt2img", "what": "status", "status": 422, "times": -1})
    code, said = sweep.sample()
    assert code == 1 and "4 samples: 3 done, 1 failed" in said and "1 is marked as not done" in said
    counts = json.loads(sweep.folder.sample_counts.read_text())
    assert (counts["done"], counts["failed"], counts["left"]) == (3, 1, 0)
    double.control(clear=True)
    assert "4 samples: 4 done" in sweep.sample("--only", "0")[1]


def test_one_sample_and_none(double, tmp_path):
    sweep = Sweep(tmp_path / "a", [double.url])
    code, said = sweep.sample()
    assert code == 0 and "nothing to do: no checkpoint of this sweep is to be sampled" in said
    sweep.run("k0", epochs=1)
    assert "1 sample: 1 done" in sweep.sample()[1]


def test_a_sweep_that_is_started_again_makes_what_has_failed(double, tmp_path):
    """After a password was changed, for example."""
    sweep = Sweep(tmp_path / "a", [double.url])
    sweep.run("k0", epochs=2)
    double.fault({"on": "POST /agent-scheduler/v1/queue/txt2img", "what": "status", "status": 403, "times": -1})
    assert sweep.sample()[0] == 1 and sweep.states() == {"failed": 2}
    double.control(clear=True)
    said = sweep.start("--follow").communicate(timeout=30)[0]
    assert sweep.states() == {"done": 2}, said


def test_the_password_comes_from_a_config_file(double, tmp_path):
    double.set(auth="bob:hunter2")
    sweep = Sweep(tmp_path / "a", [double.url])
    sweep.run("k0", epochs=1)
    code, said = sweep.sample()
    assert code == 1 and "AUTOMATE_TRAIN_WEBUI_AUTH" in said and "--config" in said
    file = tmp_path / "mine.json"
    file.write_text('{"webui_auth": "bob:hunter2", "unet_lr_list": [1, 2]}')
    code, said = sweep.sample("--config", str(file))
    assert (code, sweep.states()) == (0, {"done": 1}), said
    sweep.run("k1", epochs=1, webui_urls=["http://127.0.0.1:9"])
    file.write_text(json.dumps({"webui_auth": "bob:hunter2", "webui_url": double.url}))
    code, said = sweep.sample("--config", str(file))
    assert (code, sweep.states()) == (0, {"done": 2}), said
    file.write_text('{"webui_wait_limit": "soon"}')
    code, said = sweep.sample("--config", str(file))
    assert code == 2 and "webui_wait_limit" in said


def test_a_sweep_that_is_over_does_not_wait_for_hours(double, tmp_path):
    """Its queue is paused: what is missing is left to `automate-train sample`."""
    double.control(paused=True)
    sweep = Sweep(tmp_path / "a", [double.url], webui_outage_limit=1)
    sweep.run("k0", epochs=1)
    process = sweep.start("--follow")
    until(lambda: double.log()["tasks"])
    said = process.communicate(timeout=30)[0]
    assert process.returncode == 1 and "1 sample is missing" in said and "webui_resume_queue" in said, said
    assert double.log()["tasks"] == []


def test_what_is_left_on_a_server_is_told(double, tmp_path):
    sweep = Sweep(tmp_path / "a", [double.url])
    sweep.run("k0", epochs=1)
    double.set(seconds=30)
    process = sweep.start("--outage-limit", "1")
    until(lambda: double.log()["tasks"])
    double.kill()
    said = process.communicate(timeout=60)[0]
    assert f"{double.url}: 1 LoRA and 1 request of ours are left there" in said
    double.start()
    assert "left there" not in sweep.sample()[1]


def test_a_picture_without_memory_is_tried_later_again(double, tmp_path):
    """A neighbour's training takes it: more often than other failures are tried again."""
    sweep = Sweep(tmp_path / "a", [double.url])
    sweep.run("k0", epochs=1)
    double.fault({"task": "oom", "times": 3})
    limits, said = Limits(memory=0.1, resume=True), []
    assert run(sweep.folder, SampleSelection(), limits=limits, say=said.append) == 0, said
    assert sweep.states() == {"done": 1} and sum("is asked for again" in each for each in said) == 3
