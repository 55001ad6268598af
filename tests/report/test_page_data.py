"""A sweep as the page's data: axes, positions, states, links."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

from report_kit import Sweep, data_of, unpacked

from automate_train.report.assemble import write_page
from automate_train.report.axes import setting_axes
from automate_train.report.grid import grid_axes
from automate_train.report.sweep_data import read_sweep
from automate_train.store.layout import find_sweep

ROOT = Path(__file__).parents[2]


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
    thumbs = list((sweep.path / "report_files" / "thumbs").iterdir())
    assert len(thumbs) == 5 and all(each.read_bytes().startswith(b"\xff\xd8") for each in thumbs)
    assert len(set(pictures["thumb"])) == 4 and all(name.startswith("#picture-") for name in pictures["thumb"]), (
        "inside"
    )


def test_a_run_that_is_no_longer_part_of_the_sweep_goes_by_its_id(tmp_path: Path):
    """Its index is another run's by now: `automate-train sample --only` and `grid --at run=` would take that one."""
    sweep = Sweep(tmp_path, unet_lr=["1e-4", "2e-4"])
    first, second = sweep.runs()
    sweep.begin(first)
    sweep.begin(second)
    sweep.journal.set_sweep([second._replace(index=0, number=0)])
    now, gone = data_of(sweep.build().path)["runs"]
    assert (now["index"], now["label"], now["reason"]) == (0, "0", "")
    assert (gone["index"], gone["label"]) == (None, gone["id"]) and gone["key"].startswith(gone["id"])
    assert "no longer part of the sweep" in gone["reason"]
    assert grid_axes(read_sweep(sweep.folder))["run"].values == ("0", gone["id"])


def test_keys_that_vary_together_are_one_axis():
    runs = [{"dim": d, "alpha": a, "lr": lr} for d, a in (("4", "2"), ("8", "4")) for lr in ("1", "2")]
    assert [(axis.label, axis.values) for axis in setting_axes(runs)] == [
        ("dim + alpha", (("4", "2"), ("8", "4"))), ("lr", (("1",), ("2",))),
    ]  # fmt: skip


def test_the_seed_is_an_axis_alone_and_the_last():
    runs = [{"seed": "1", "lr": "1"}, {"seed": "2", "lr": "2"}]
    axes = setting_axes(runs)
    assert [(axis.label, axis.as_json()["replicate"]) for axis in axes] == [("lr", False), ("seed", True)]


def test_losses_that_cannot_be_compared_are_called_that(tmp_path: Path):
    sweep = Sweep(tmp_path, min_snr_gamma=["1", "5"], seed=["1", "2"])
    for run in sweep.runs():
        sweep.begin(run, loss=0.5)
    data = data_of(sweep.build().path)
    note = "the training losses of these runs cannot be compared: min_snr_gamma changes what they mean"
    assert data["loss_note"] == note and not any("mean_loss" in run or "best" in run for run in data["runs"])
    (tmp_path / "other").mkdir()
    assert data_of(Sweep(tmp_path / "other", unet_lr=["1", "2"]).build().path)["loss_note"] == ""


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
    sweep.begin(again._replace(key="f" * 16))
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
    assert data["prompts"][0]["baseline"]["thumb"] == "#picture-0"


def test_nan_is_a_word_and_never_ends_the_page(tmp_path: Path):
    sweep = Sweep(tmp_path)
    (run,) = sweep.runs()
    attempt = sweep.begin(run, loss=math.nan, steps=5)
    with (attempt / "events.jsonl").open("a") as out:
        out.write('{"at": 9, "kind": "metrics", "step": 6, "loss": NaN, "lr": {"unet": Infinity}}\n')
        out.write('{"at": 9, "kind": "metrics", "step": "six", "loss": []}\n{"at": 9, "kind": "metrics"}\nnonsense\n')
    page = sweep.build().path
    assert data_of(page)["runs"][0]["loss"] == "nan"
    assert unpacked(page, "curves")[0]["loss"][0] == [1, 2, 3, 4, 5]


def test_a_resumed_run_is_one_curve_and_one_row_with_the_pictures_of_all_attempts(tmp_path: Path):
    """Attempt 1 trained all 24 steps, but its last state is of step 16; attempt 2 trains and samples epoch 3 again."""
    sweep = Sweep(tmp_path)
    (run,) = sweep.runs()
    sweep.begin(run, epochs=3, steps=24, end="failed", reason="the disk was full")
    sweep.begin(run, epochs=3, steps=24, resumed_at=16)
    page = sweep.build().path
    (row,) = data_of(page)["runs"]
    assert (row["state"], row["seconds"], row["steps"], row["started"]) == ("succeeded", 120.0, 24, 1_700_000_000.0)
    (curves,) = unpacked(page, "curves")
    steps, seconds, _ = curves["loss"]
    assert steps == list(range(1, 25)) and seconds == sorted(seconds)
    assert data_of(page)["checkpoints"] == [1, 2, 3] and row["pictures"]["checkpoint"] == [0, 1, 2]
    files = [each["file"].split("/")[1] for each in unpacked(page, "details-0")]
    assert files == ["attempt-1", "attempt-1", "attempt-2"]


def test_an_attempt_that_ended_before_its_first_step_hides_nothing(tmp_path: Path):
    sweep = Sweep(tmp_path)
    (run,) = sweep.runs()
    sweep.begin(run, epochs=3, steps=24, reached=18, end="failed")
    sweep.begin(run, epochs=3, steps=24, resumed_at=16, reached=16, end="failed", reason="no such file")
    (row,) = data_of(sweep.build().path)["runs"]
    assert (row["reason"], row["step"], row["pictures"]["checkpoint"]) == ("no such file", 18, [0, 1])


def test_what_a_resumed_run_trains_again_is_not_shown_from_before(tmp_path: Path):
    sweep = Sweep(tmp_path)
    (run,) = sweep.runs()
    sweep.begin(run, epochs=3, steps=24, end="failed")
    sweep.begin(run, epochs=3, steps=24, resumed_at=8, reached=12, end=None)
    page = sweep.build().path
    assert data_of(page)["checkpoints"] == [1]
    assert unpacked(page, "curves")[0]["loss"][0] == list(range(1, 13))


def test_a_sweep_of_the_first_edition(tmp_path: Path):
    shutil.copytree(ROOT / "tests" / "data" / "first_edition" / "out" / "boats", tmp_path / "boats")
    page = write_page(find_sweep(tmp_path / "boats")).path
    data, curves = data_of(page), unpacked(page, "curves")
    assert [run["state"] for run in data["runs"]] == ["succeeded", "succeeded", "failed", "waiting"]
    assert len(data["runs"][0]["pictures"]["state"]) > 1 and data["prompts"][0]["baseline"]
    assert data["runs"][0]["reason"] == "" and data["runs"][2]["reason"]
    steps = curves[1]["loss"][0]  # attempt 1 was lost, attempt 2 went on
    assert steps[0] <= 4 and steps == sorted(set(steps)) and steps[-1] == data["runs"][1]["steps"]
    assert data["provenance"]["files"][0]["label"] == "default file"
