"""A sweep as the page's data: axes, positions, states, links."""

from __future__ import annotations

from pathlib import Path

from report_kit import Sweep, data_of

from automate_train.report.axes import setting_axes


def test_runs_and_pictures_have_positions_on_the_axes(tmp_path: Path):
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


def test_keys_that_vary_together_are_one_axis():
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


def test_an_option_that_changed_between_two_starts_is_an_axis_too(tmp_path: Path):
    sweep = Sweep(tmp_path, unet_lr=["1e-4"])
    (run,) = sweep.runs()
    sweep.begin(run)
    sweep.options["max_train_epochs"] = 9
    (again,) = sweep.runs()
    sweep.begin(type(again)(**{**vars(again), "key": "f" * 16}))
    (_, changed) = data_of(sweep.build().path)["settings"]
    assert (changed["label"], changed["values"]) == ("max_train_epochs", ["3", "9"])


def test_failed_samples_and_baselines_are_in_the_data(tmp_path: Path):
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


def test_nan_and_infinity_become_words(tmp_path: Path):
    sweep = Sweep(tmp_path)
    (run,) = sweep.runs()
    attempt = sweep.begin(run, end=None, steps=5)
    with (attempt / "events.jsonl").open("a") as out:
        out.write('{"at": 9, "kind": "metrics", "step": 6, "loss": NaN, "lr": {"unet": Infinity}}\n')
        out.write('{"at": 9, "kind": "metrics", "step": 6, "loss": null, "nan": true}\n')
        out.write('{"at": 9, "kind": "metrics", "step": "six", "loss": []}\n{"at": 9, "kind": "metrics"}\nnonsense\n')
    assert data_of(sweep.build().path)["runs"][0]["nans"] == 2
