"""The command trainer: placeholders, keys that nothing uses, secrets."""

from __future__ import annotations

import pytest
from sd_scripts_kit import attempt_of

from automate_train.config.layers import Layer, built_in, merge
from automate_train.errors import UserError
from automate_train.preflight import checks
from automate_train.records import Source, SweepContext
from automate_train.sweep.product import expand
from automate_train.trainers import command, load, sd_scripts


def commanded(argv, **keys):
    layers = [
        built_in(),
        Layer(
            Source("tuning file", "t.json"), {"project_name_base": "p", "trainer": "command", "command": argv, **keys}
        ),
    ]
    return next(iter(expand(merge(layers)[0]).points()))


def test_places_are_filled_in(tmp_path):
    argv = ["/bin/echo", "--lr={unet_lr}", "{epoch_num}", "{name}/{index}", "{gpus}", "{folder}", "{output_dir}", "{"]
    run = commanded(argv, unet_lr=1e-4, epoch_num=3, cuda_device="0,1")
    assert load("command") is command and load("sd-scripts") is sd_scripts
    with pytest.raises(UserError, match="did you mean command"):
        load("comand")
    context = SweepContext(str(tmp_path), "p")
    folder = attempt_of(run, context)
    launch = command.prepare(run, folder, context)
    assert command.problems(run, context) == []
    assert launch.argv == (
        "/bin/echo", "--lr=0.0001", "3", "p/0", "2", str(folder.path), str(folder.output), "{",
    )  # fmt: skip
    assert launch.gpus == 2 and launch.files == {} and "ACCELERATE_MIXED_PRECISION" not in launch.env
    assert command.prepare(run, folder, context._replace(cpu=True)).gpus == 0
    assert (command.verdict(folder, 0).kind, command.verdict(folder, 3).kind) == ("succeeded", "failed")


@pytest.mark.parametrize(
    ("argv", "keys", "says"),
    [
        (["/bin/echo", "{lr}"], {}, "{lr} is not a key of this sweep"),
        (["/bin/echo", "{unet_rl}"], {"unet_lr": 1}, "did you mean unet_lr"),
        (["/bin/echo"], {"unet_lr": 1}, "unet_lr: nothing in the command uses it"),
        (["/no/such/program"], {}, "there is no program '/no/such/program'"),
        (["/bin/echo", "{wandb_api_key}"], {"wandb_api_key": "x"}, "is a secret"),
        ("echo 1", {}, "needs a list of texts"),
        ([], {}, "needs a list of texts"),
        (None, {}, "needs a list of texts"),
    ],
)
def test_unknown_places_and_unused_keys(tmp_path, argv, keys, says):
    found = command.problems(commanded(argv, **keys), SweepContext(str(tmp_path), "p"))
    assert [str(problem) for problem in found if says in str(problem)], found
    assert all(problem.source == "tuning file t.json" for problem in found)


def test_a_secret_goes_into_the_environment_and_nowhere_else(tmp_path):
    run = commanded(["/bin/echo"], wandb_api_key="hush5c1e")
    context = SweepContext(str(tmp_path), "p")
    launch = command.prepare(run, attempt_of(run, context), context)
    assert dict(launch.secrets) == {"WANDB_API_KEY": "hush5c1e"} and "hush5c1e" not in repr(launch)
    assert command.problems(run, context) == []


def test_a_secret_on_our_own_command_line_is_kept_nowhere(automate_train, sweep_files, tmp_path):
    flags = sweep_files(["/bin/sh", "-c", 'test -z "$WANDB_API_KEY"'])
    done = automate_train(*flags, "--set", "wandb_api_key=hush5c1e")
    assert done.returncode == 1, "the program has seen it"
    assert "--set 'wandb_api_key=***'" in done.stdout and "hush5c1e" not in done.stdout + done.stderr
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert files and not [path for path in files if b"hush5c1e" in path.read_bytes()]


def test_a_secret_is_no_axis(automate_train, sweep_files):
    done = automate_train(*sweep_files(["/bin/true"], {"wandb_api_key_list": ["hush5c1e", "hush"]}), "--dry-run")
    assert done.returncode == 2 and "is a secret" in done.stderr and "hush5c1e" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("port", 99999999, "must be 1 to 65535"),
        ("temp_dir", {"a": 1}, "needs a text"),
        ("on_failure", "maybe", "is not one of stop, continue"),
        ("cuda_device", "0,x", "needs device numbers"),
        ("hook", 3, "is a switch"),
        ("retries", "²", "needs a whole number"),
    ],
)
def test_our_own_keys_are_checked_for_every_trainer(tmp_path, key, value, says):
    [problem] = checks.of_run(commanded(["/bin/echo"], **{key: value}), SweepContext(str(tmp_path), "p"))
    assert problem.key == key and says in problem.message and "t.json" in problem.source
