"""A sweep as data: axes, places, states, text that must not become markup, and what is remembered between reports."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from report_kit import EVIL, Sweep, data_of

from automate_train.records import Event
from automate_train.report import curves
from automate_train.report.axes import setting_axes
from automate_train.report.page import MODULES, safe_json, script, web


def test_runs_and_pictures_have_their_places(tmp_path: Path):
    sweep = Sweep(tmp_path, unet_lr=["2e-4", "1e-4"], network_dim=["4", "16"])
    first, second, third, fourth = sweep.runs()
    sweep.begin(first, epochs=2, prompts=["a cat", "a dog"])
    sweep.begin(second, epochs=1, end="failed", reason="out of memory")
    sweep.begin(third, end=None, epochs=0)
    sweep.wait(fourth)
    data = data_of(sweep.build().path)
    assert [axis["values"] for axis in data["settings"]] == [["1e-4", "2e-4"], ["4", "16"]]  # by size
    assert [run["positions"] for run in data["runs"]] == [[1, 0], [1, 1], [0, 0], [0, 1]]
    assert [run["state"] for run in data["runs"]] == ["succeeded", "failed", "running", "waiting"]
    assert data["runs"][1]["reason"] == "out of memory"
    assert (data["unit"], data["checkpoints"]) == ("epoch", [1, 2])
    assert {prompt["text"] for prompt in data["prompts"]} == {"a cat", "a dog", "a boat"}
    pictures = data["runs"][0]["pictures"]
    assert sorted(zip(pictures["checkpoint"], pictures["prompt"], strict=True)) == [(m, p) for m in (0, 1) for p in
        [i for i, prompt in enumerate(data["prompts"]) if prompt["text"] in ("a cat", "a dog")]]  # fmt: skip
    thumbs = sweep.path / "report_files" / "thumbs"
    assert all((thumbs / name).read_bytes().startswith(b"\xff\xd8") for name in pictures["thumb"])


def test_keys_that_move_together_are_one_axis():
    runs = [{"dim": d, "alpha": a, "lr": lr} for d, a in (("4", "2"), ("8", "4")) for lr in ("1", "2")]
    assert [(axis.label, axis.values) for axis in setting_axes(runs)] == [
        ("dim + alpha", (("4", "2"), ("8", "4"))), ("lr", (("1",), ("2",))),
    ]  # fmt: skip


def test_checkpoints_within_epochs_make_steps_the_axis(tmp_path: Path):
    sweep = Sweep(tmp_path)
    (run,) = sweep.runs()
    attempt = sweep.begin(run, epochs=2, steps=100)
    for file in (attempt / "output" / "sample").glob("*.json"):
        file.write_text(file.read_text().replace("x-000001.safetensors", "x-step00000050.safetensors"))
    data = data_of(sweep.build().path)
    assert (data["unit"], data["checkpoints"]) == ("step", [50, 100])


def test_the_trainers_own_pictures_have_their_step_seed_and_prompt(tmp_path: Path):
    sweep = Sweep(tmp_path)
    (tmp_path / "prompts.txt").write_text("# none\na cat --w 64 --d 7\na dog\n", encoding="utf-8")
    sweep.options["prompt_path"] = "../prompts.txt"
    (run,) = sweep.runs()
    attempt = sweep.begin(run, epochs=0)
    samples = attempt / "output" / "sample"
    for name in (
        "boats_e000002_00_20260101120000_7",
        "boats_e000002_01_20260101120000",
        "boats_000150_00_20260101120000_7",
    ):
        Image.new("RGB", (8, 8)).save(samples / f"{name}.png")
    (samples / "boats_e000002_01_20260101120001.png").write_bytes(b"half")
    with (attempt / "events.jsonl").open("a") as out:
        out.write('{"at": 200, "kind": "checkpoint", "path": "x", "which": "epoch", "epoch": 2, "step": 99}\n')
    data = data_of(sweep.build().path)
    assert [prompt["text"] for prompt in data["prompts"]] == ["a cat", "a dog"]
    assert (data["unit"], data["checkpoints"]) == ("step", [99, 150])
    assert len(data["runs"][0]["pictures"]["checkpoint"]) == 3


def test_an_option_that_changed_between_two_starts_is_an_axis_too(tmp_path: Path):
    sweep = Sweep(tmp_path, unet_lr=["1e-4"])
    (run,) = sweep.runs()
    sweep.begin(run)
    sweep.options["max_train_epochs"] = 9
    (again,) = sweep.runs()
    sweep.begin(type(again)(**{**vars(again), "key": "f" * 16}))
    (_, changed) = data_of(sweep.build().path)["settings"]
    assert (changed["label"], changed["values"]) == ("max_train_epochs", ["3", "9"])


def test_failed_samples_and_baselines_are_told(tmp_path: Path):
    sweep = Sweep(tmp_path)
    (run,) = sweep.runs()
    attempt = sweep.begin(run, prompts=["a boat"])
    sweep.picture(attempt, 0, 2, 0, "a boat", state="failed", reason="the server said 500").unlink(missing_ok=True)
    sweep.picture(attempt, 0, 1, 0, "a boat", state="wrong checkpoint", reason="another LoRA")
    sweep.baseline(0, "a boat")
    data = data_of(sweep.build().path)
    pictures = data["runs"][0]["pictures"]
    assert [(data["states"][s], bool(t)) for s, t in zip(pictures["state"], pictures["thumb"], strict=True)] == [
        ("wrong checkpoint", True), ("failed", False),
    ]  # fmt: skip
    assert data["prompts"][0]["baseline"]["thumb"].endswith(".jpg")


def test_nothing_in_the_data_becomes_markup(tmp_path: Path):
    sweep = Sweep(tmp_path, note=[EVIL, "plain"])
    for run in sweep.runs():
        sweep.begin(run, prompts=[EVIL], end="failed", reason=EVIL)
    page = sweep.build().path
    text = page.read_text(encoding="utf-8")
    assert data_of(page)["runs"][0]["reason"] == EVIL and "<img" not in text and "window.evil = 1</script>" not in text
    assert "\u2028" not in text


@given(st.text() | st.lists(st.text()))
def test_safe_json_is_the_same_json(value: object):
    text = safe_json(value)
    assert json.loads(text) == value and not set(text) & set("<>&\u2028\u2029")


def test_nan_and_infinity_become_words(tmp_path: Path):
    sweep = Sweep(tmp_path)
    (run,) = sweep.runs()
    attempt = sweep.begin(run, end=None, steps=5)
    with (attempt / "events.jsonl").open("a") as out:
        out.write('{"at": 9, "kind": "metrics", "step": 6, "loss": NaN, "lr": {"unet": Infinity}}\n')
        out.write('{"at": 9, "kind": "metrics", "step": "six", "loss": []}\n{"at": 9, "kind": "metrics"}\nnonsense\n')
    assert data_of(sweep.build().path)["runs"][0]["nans"] == 2


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=400), st.integers(4, 60))
def test_thinning_keeps_ends_and_extremes(values: list[float], most: int):
    steps: list[float] = [float(step) for step in range(len(values))]
    xs, _, ys = curves.thin([steps, steps, values], most)
    assert len(xs) <= most and xs == sorted(set(xs))
    assert (ys[0], ys[-1]) == (values[0], values[-1]) and all(values[int(x)] == y for x, y in zip(xs, ys, strict=True))
    if len(values) <= most:
        assert (max(ys), min(ys)) == (max(values), min(values))


def test_a_straight_line_becomes_its_ends():
    events = [Event(float(step), "metrics", {"step": step, "lr": {"unet": 1e-4}}) for step in range(1000)]
    assert curves.read(events).curves["lr/unet"] == [[0, 999], [0.0, 999.0], [1e-4, 1e-4]]


def test_finished_runs_are_not_read_again_and_new_pictures_are_seen(tmp_path: Path):
    sweep = Sweep(tmp_path)
    (run,) = sweep.runs()
    attempt = sweep.begin(run, epochs=1)
    samples, old = attempt / "output" / "sample", time.time() - 60
    os.utime(samples, (old, old))
    sweep.build()
    (samples / "x-000001_00.json").write_text("{}")  # in place: nobody does this, so it is not seen
    os.utime(samples, (old, old))
    assert len(data_of(sweep.build().path)["runs"][0]["pictures"]["checkpoint"]) == 1
    sweep.picture(attempt, 0, 2, 0, "a boat")
    assert data_of(sweep.build().path)["checkpoints"] == [2]


def test_thumbnails_of_pictures_that_are_gone_go_too(tmp_path: Path):
    sweep = Sweep(tmp_path)
    (run,) = sweep.runs()
    attempt = sweep.begin(run, epochs=2)
    thumbs = sweep.path / "report_files" / "thumbs"
    sweep.build()
    assert len(list(thumbs.iterdir())) == 2
    for name in ("x-000001_00.png", "x-000001_00.json"):
        (attempt / "output" / "sample" / name).unlink()
    sweep.build()
    assert len(list(thumbs.iterdir())) == 2  # so young that another report may just have made it
    for thumb in thumbs.iterdir():
        os.utime(thumb, (1.0, 1.0))
    sweep.build()
    assert len(list(thumbs.iterdir())) == 1


def test_without_time_for_thumbnails_the_originals_are_shown(tmp_path: Path):
    sweep = Sweep(tmp_path)
    (run,) = sweep.runs()
    attempt = sweep.begin(run, epochs=1)
    (attempt / "output" / "sample" / "x-000001_00.png").rename(attempt / "output" / "sample" / "x #1.png")
    json_ = attempt / "output" / "sample" / "x-000001_00.json"
    json_.write_text(json_.read_text().replace("x-000001_00.png", "x #1.png"))
    built = sweep.build(seconds=-1)
    (shown,) = data_of(built.path)["runs"][0]["pictures"]["thumb"]
    assert built.thumbs == 0 and shown.endswith("/output/sample/x%20%231.png")


def test_a_picture_that_is_none_is_no_end(tmp_path: Path):
    sweep = Sweep(tmp_path)
    (run,) = sweep.runs()
    attempt = sweep.begin(run, epochs=2)
    file = attempt / "output" / "sample" / "x-000001_00.png"
    file.unlink()
    file.write_bytes(b"no picture")
    built = sweep.build()
    assert (built.pictures, built.thumbs) == (2, 1)


def test_every_module_is_in_the_page_and_imports_only_earlier_ones():
    import re

    there = {path.stem for path in Path(__file__).parents[2].glob("automate_train/report/web/js/*.js")}
    assert there == set(MODULES)
    for at, name in enumerate(MODULES):
        imported = re.findall(r'from "\./(\w+)\.js"', web(f"js/{name}.js"))
        assert set(imported) <= set(MODULES[:at]), name
    assert "import " not in "".join(re.findall(r"^\w+ .*$", script(), re.MULTILINE))


def test_the_page_loads_nothing_and_may_load_nothing(tmp_path: Path):
    text = Sweep(tmp_path).build().path.read_text(encoding="utf-8")
    policy = text.split('Content-Security-Policy" content="')[1].split('"')[0]
    assert policy.startswith("default-src 'none';") and "unsafe" not in policy and "http" not in policy
    assert " src=" not in text.split("<script")[0] and "@import" not in text
