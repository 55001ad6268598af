"""The tiny trainer with the real TensorBoard, Aim and W&B; what they wrote is opened with their own readers."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from trackers_kit import Attempt, dataset, environment, in_aim, in_tensorboard, in_wandb, run, shown_in_wandb

pytestmark = pytest.mark.slow
PROMPTS = "a red boy --w 64 --h 64 --d 1\n# a comment\na blue girl --w 64 --h 64\n"


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dataset(tmp_path_factory.mktemp("colours") / "d")


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory, colours: Path) -> Attempt:
    """A training with all trackers, beside it one that wants the same Aim repo at the same time. A WebUI's picture
    comes early, two come after the end, and logging them is tried twice."""
    attempt = Attempt(tmp_path_factory.mktemp("all"))
    other = Attempt(attempt.root, "p_lr=2", "aim")
    other.picture("lora_00", 8)
    beside = subprocess.Popen(other.training(colours), env=environment(), stderr=subprocess.PIPE)
    prompts = attempt.root / "prompts.txt"
    prompts.write_text(PROMPTS)
    attempt.settings(prompts=str(prompts))
    attempt.picture("lora-step00000001_00", 1, "early")
    attempt.picture("lora-step00000001_01", 1, state="failed")
    options = {"sample_prompts": str(prompts), "sample_every_n_epochs": 2}
    ran = run(attempt.training(colours, **options))
    assert ran.returncode == 0, ran.stderr
    assert (beside.communicate(timeout=120), beside.returncode)[1] == 0 and other.of("trouble") == []
    attempt.picture("lora_02", 8, "late", epoch=2)
    attempt.picture("lora_03_w0.6", 8, "late, weaker", epoch=2)
    assert attempt.late() == "images logged: 2 in tensorboard, 2 in wandb, 2 in aim"
    assert attempt.late() == "no images to log"
    return attempt


WEBUI = [("sample/00", 1, "early"), ("sample/02", 8, "late"), ("sample/03_w0.6", 8, "late, weaker")]
OWN = [("sample/00", 8, "a red boy"), ("sample/01", 8, "a blue girl")]


def test_events_name_each_picture_once_and_trackers(ended: Attempt) -> None:
    assert ended.of("trouble") == []
    told = {event["name"]: event for event in ended.of("tracker")}
    assert told.keys() == {"tensorboard", "aim", "wandb"}
    assert told["tensorboard"]["where"] == str(ended.folder) and told["tensorboard"]["run"] is None
    assert told["aim"]["where"] == told["wandb"]["where"] == str(ended.home)
    kinds = [(event["kind"], event.get("step")) for event in ended.events]
    assert kinds.index(("picture", 1)) < kinds.index(("metrics", 8))  # while it trained
    own = {(name, step) for name, step in ended.logged("aim") if "_e000002_" in name}
    assert len(own) == 2 and not own & set(ended.logged("wandb"))  # sd-scripts itself gives them to W&B
    for name, count in (("tensorboard", 5), ("aim", 5), ("wandb", 3)):
        assert len(ended.logged(name)) == len(set(ended.logged(name))) == count


def test_tensorboard_has_one_folder_with_everything(ended: Attempt) -> None:
    shown, numbers = in_tensorboard(ended.folder)
    # One description a tag: TensorBoard shows the first.
    assert [(tag, step) for tag, step, _ in shown] == sorted((tag, step) for tag, step, _ in WEBUI + OWN)
    assert {tag: text for tag, _, text in shown} == {
        "sample/00": "early", "sample/01": "a blue girl", "sample/02": "late", "sample/03_w0.6": "late, weaker"
    }  # fmt: skip
    assert numbers["loss/current"] == list(range(1, 9))
    files = list(ended.home.rglob("*tfevents*"))
    assert {file.parent for file in files} == {ended.folder} and len(files) == 2
    from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer

    runs = EventMultiplexer().AddRunsFromDirectory(str(ended.home))
    runs.Reload()
    assert list(runs.Runs()) == [f"p/{ended.name}-1"]
    assert "_hparams_/session_start_info" in runs.GetAccumulator(f"p/{ended.name}-1").summary_metadata


def test_aim_has_all_runs_in_one_repo_with_its_options_and_pictures(ended: Attempt) -> None:
    runs = in_aim(ended.home)
    assert runs.keys() == {ended.name, "p_lr=2"} and len(list(ended.root.rglob(".aim"))) == 1
    assert runs["p_lr=2"][1] == [("sample/00", 8, "text of lora_00")]
    found, shown = runs[ended.name]
    assert (found.experiment, found.tags) == ("project", ["automate-train"])
    assert shown == sorted(WEBUI + OWN)
    assert found["hparams"]["unet_lr"] == 0.001 and found["hparams"]["network_args"] == ["a=1"]
    assert [len(each.data.values_list()[0]) for each in found.metrics() if each.name == "loss/current"] == [8]


def test_wandb_has_two_files_of_one_run(ended: Attempt) -> None:
    ((identity, files),) = in_wandb(ended.home).items()
    assert identity == next(e["run"] for e in ended.of("tracker") if e["name"] == "wandb")
    (about, rows), (about_late, rows_late) = files
    for each in (about, about_late):
        assert (each.display_name, each.project, each.run_group) == (ended.name, "project", "sweep")
    assert list(about.tags) == ["automate-train"]
    assert sorted(shown_in_wandb(rows) + shown_in_wandb(rows_late)) == WEBUI
    assert [row["global_step"] for row in rows if "loss/current" in row] == list(range(1, 9))
    assert min(row["_step"] for row in rows_late) > max(row["_step"] for row in rows)


def test_broken_packages_leave_the_training_and_the_others_alone(tmp_path: Path, colours: Path) -> None:
    for name in ("aim", "wandb"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('this package is broken')")
    attempt = Attempt(tmp_path)
    attempt.picture("lora_00", 8)
    ran = run(attempt.training(colours), PYTHONPATH=str(tmp_path))
    assert ran.returncode == 0, ran.stderr
    troubles = {event["where"]: event["error"] for event in attempt.of("trouble")}
    assert troubles == dict.fromkeys(("tracker aim", "tracker wandb"), "RuntimeError: this package is broken")
    assert [event["name"] for event in attempt.of("tracker")] == ["tensorboard"]
    shown, numbers = in_tensorboard(attempt.folder)
    assert shown == [("sample/00", 8, "text of lora_00")] and len(numbers["loss/current"]) == 8
    assert attempt.events[-1]["ok"] is True and (attempt.output / "lora.safetensors").exists()


def test_the_users_own_tracker_config_wins(tmp_path: Path, colours: Path) -> None:
    attempt = Attempt(tmp_path, log_with="wandb")
    config = tmp_path / "trackers.toml"
    config.write_text('[wandb]\nname = "my name"\nproject = "mine"\ntags = ["my tag"]\nnotes = "my notes"\n')
    ran = run(attempt.training(colours, log_tracker_config=str(config)))
    assert ran.returncode == 0, ran.stderr
    assert attempt.of("trouble") == []
    (((about, rows),),) = in_wandb(attempt.home).values()
    assert (about.display_name, about.project, about.notes) == ("my name", "mine", "my notes")
    assert sorted(about.tags) == ["automate-train", "my tag"] and about.run_group == "sweep"
    assert len([row for row in rows if "loss/current" in row]) == 8


COUNTED = """
    import sys, wandb
    sys.path.insert(0, sys.argv[1])
    import hook_find_images, hook_trackers
    run = wandb.init(dir=sys.argv[3])
    log = hook_trackers.Wandb(run, sys.argv[3])
    log.counted = True
    image = hook_find_images.SampleImage
    left = [image(sys.argv[2], str(i), f"sample/0{i % 2}", "", i // 2, None, False) for i in range(6)]
    for step in range(1, 6):
        run.log({"loss": 0.5}, step=step)
        for picture in list(log.log(left)):
            left.remove(picture)
    run.finish()
"""


def test_rows_that_the_trainer_counts_are_all_there(tmp_path: Path) -> None:
    attempt = Attempt(tmp_path)
    attempt.picture("x_00", 1)
    script = tmp_path / "counted.py"
    script.write_text(textwrap.dedent(COUNTED))
    args = [str(attempt.path / "hook"), str(attempt.output / "sample" / "x_00.png"), str(tmp_path)]
    ran = run([sys.executable, str(script), *args])
    assert ran.returncode == 0, ran.stderr
    (((_, rows),),) = in_wandb(tmp_path).values()
    assert [row["_step"] for row in rows if row.get("loss") == 0.5] == [1, 2, 3, 4, 5]
    assert [(tag, step) for tag, step, _ in shown_in_wandb(rows)] == [
        (f"sample/0{i}", step) for i in range(2) for step in range(3)
    ]


KILLED = """
    import os, signal, sys
    from accelerate import Accelerator
    accelerator = Accelerator(log_with=["tensorboard", "aim"], project_dir=sys.argv[1])
    accelerator.init_trackers("network_train")
    for step in range(1, 4):
        accelerator.log({"loss": 0.5}, step=step)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_runs_of_a_killed_training_get_their_pictures(tmp_path: Path) -> None:
    attempt = Attempt(tmp_path)
    script = tmp_path / "killed.py"
    script.write_text(textwrap.dedent(KILLED))
    attempt.picture("lora_00", 2, "before")
    assert run(attempt.command(script, str(tmp_path / "unused"))).returncode == -9
    with (attempt.path / "events.jsonl").open("a") as events:
        events.write('{"at": 1.0, "kind": "metr')  # cut off
    attempt.picture("lora_01", 3, "after")
    assert attempt.late() == "images logged: 1 in tensorboard, 1 in aim"
    assert attempt.late() == "no images to log"
    expected = [("sample/00", 2, "before"), ("sample/01", 3, "after")]
    assert in_tensorboard(attempt.folder)[0] == expected
    assert in_aim(attempt.home)[attempt.name][1] == expected


def test_a_resumed_training_is_one_run_in_each_tracker(tmp_path: Path, colours: Path) -> None:
    """The second attempt goes on after step 4 and counts its steps from 1, as sd-scripts does."""
    first, second = Attempt(tmp_path), Attempt(tmp_path, number=2)
    assert run(first.training(colours)).returncode == 0
    runs = {event["name"]: event for event in first.of("tracker")}
    second.settings(folder=str(first.folder), resumed={"step": 4, "uncounted_steps": 4, "runs": runs})
    second.picture("lora-000002_00", 8, "with the LoRA", epoch=2)
    assert run(second.training(colours, max_train_epochs=1)).returncode == 0
    assert second.of("trouble") == []
    shown, numbers = in_tensorboard(first.folder)
    assert numbers["loss/current"] == list(range(1, 9)) and ("sample/00", 8, "with the LoRA") in shown
    assert not second.folder.exists()
    [(found, pictures)] = in_aim(first.home).values()
    [losses] = [each.data.indices_list() for each in found.metrics() if each.name == "loss/current"]
    assert sorted(set(losses)) == list(range(1, 9)) and pictures == [("sample/00", 8, "with the LoRA")]
    assert list(in_wandb(first.home)) == [runs["wandb"]["run"]]
