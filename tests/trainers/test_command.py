"""The command trainer: placeholders, its own keys, keys that nothing uses, secrets, the LoRA that it keeps."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest
from sd_scripts_kit import attempt_of, safetensors

from automate_train.config.layers import Layer, built_in, merge
from automate_train.errors import UserError
from automate_train.preflight import checks
from automate_train.records import Launch, Run, Source, SweepContext
from automate_train.store.launch import write_attempt
from automate_train.store.layout import AttemptFolder
from automate_train.sweep.product import expand
from automate_train.trainers import command, load, sd_scripts
from automate_train.training.delivery import deliver


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
    found = checks.of_run(commanded(["/bin/echo"], **{key: value}), SweepContext(str(tmp_path), "p"))
    [problem] = [each for each in found if each.severity == "error"]
    assert problem.key == key and says in problem.message and "t.json" in problem.source


def prepared(tmp_path: Path, argv: list[str], **keys: object) -> Launch:
    run = commanded(argv, **keys)
    context = SweepContext(str(tmp_path), "p")
    return command.prepare(run, attempt_of(run, context), context)


def told(tmp_path: Path, argv: list[str], severity: str = "error", **keys: object) -> list[str]:
    found = command.problems(commanded(argv, **keys), SweepContext(str(tmp_path), "p"))
    return [f"{each.key}: {each.message}" for each in found if each.severity == severity]


def test_a_folder_and_variables_of_the_program(tmp_path, monkeypatch):
    (tmp_path / "repo").mkdir()
    (tmp_path / "repo" / "go.sh").touch(0o755)
    monkeypatch.chdir(tmp_path)
    keys = {"unet_lr": 1e-4, "env": {"OUT": "{output_dir}/x", "LR": "{unet_lr}", "THREADS": 4, "NONE": None}}
    launch = prepared(tmp_path, ["./go.sh"], cwd="repo", **keys)
    assert launch.cwd == str(tmp_path / "repo") and launch.argv == (f"{tmp_path}/repo/go.sh",)
    assert launch.env["OUT"].endswith("attempt-1/output/x") and launch.env["OUT"].startswith(str(tmp_path))
    assert (launch.env["LR"], launch.env["THREADS"]) == ("0.0001", "4") and "NONE" not in launch.env
    assert launch.env["AUTOMATE_TRAIN_EVENTS"] == f"{launch.env['AUTOMATE_TRAIN_ATTEMPT']}/events.jsonl"
    assert told(tmp_path, ["./go.sh"], cwd="repo", **keys) == []
    assert prepared(tmp_path, ["/bin/echo"], cwd="{output_dir}").cwd.endswith("attempt-1/output")


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"cwd": "/none"}, "cwd: there is no folder /none"),
        ({"cwd": "/tmp/{lr}"}, "cwd: {lr} is not a key of this sweep"),
        ({"env": ["A"]}, "env: needs an object of texts and numbers"),
        ({"env": {"A": [1]}}, "env: needs an object of texts and numbers"),
        ({"env": {"A=B": 1}}, "env: 'A=B' is not the name of a variable"),
        ({"env": {"A": "{lr}"}}, "env: {lr} is not a key of this sweep"),
        ({"env": {"A": "{wandb_api_key}"}, "wandb_api_key": "x"}, "env: {wandb_api_key} is a secret"),
        ({"env": {"WANDB_API_KEY": "x"}}, "env: WANDB_API_KEY is set by automate-train"),
        ({"env": {"AUTOMATE_TRAIN_EVENTS": "x"}}, "env: AUTOMATE_TRAIN_EVENTS is set by automate-train"),
        ({"env": {"AUTOMATE_TRAIN_SCORES": "x"}}, "env: AUTOMATE_TRAIN_SCORES is set by automate-train"),
        ({"env": {"CUDA_VISIBLE_DEVICES": "1"}}, "env: CUDA_VISIBLE_DEVICES is set by automate-train"),
        ({"venv_path": "/none", "command": ["accelerate"]}, "venv_path: there is no /none/bin/accelerate"),
        ({"lora_file": "../x.pt"}, "lora_file: ../x.pt is not inside output_dir"),
        ({"lora_file": "/x.pt"}, "lora_file: /x.pt is not inside output_dir"),
    ],
)
def test_what_is_wrong_with_its_keys_is_said_with_the_key(tmp_path, keys, says):
    found = told(tmp_path, **{"argv": keys.pop("command", ["/bin/echo"]), **keys})
    assert len(found) == 1 and found[0].startswith(says)


def test_dotted_keys_are_placeholders_and_axes(automate_train, sweep_files):
    flags = sweep_files(
        ["/bin/echo", "data.dataset1.batch_size={data.dataset1.batch_size}", "{model.ema.0}"],
        {"data.dataset1.batch_size_list": [4, 8, 16], "exclude": ["data.dataset1.batch_size > 8"], "model.ema.0": "x"},
    )
    plan = json.loads(automate_train(*flags, "--dry-run", "--json").stdout)
    assert plan["problems"] == [] or {each["severity"] for each in plan["problems"]} == {"warning"}
    assert [run["argv"][1:] for run in plan["runs"]] == [
        ["data.dataset1.batch_size=4", "x"],
        ["data.dataset1.batch_size=8", "x"],
    ]
    assert plan["runs"][1]["name"] == "p_data.dataset1.batch_size=8" and len(plan["dropped"]) == 1


def test_a_name_for_files(automate_train, sweep_files):
    flags = sweep_files(["/bin/echo", "{name}", "{slug}"], {"m_list": ["a/b c", "d"], "env": {"M": "{m}"}})
    plan = json.loads(automate_train(*flags, "--dry-run", "--json").stdout)
    assert [run["argv"][1:] for run in plan["runs"]] == [["p_m=a/b c", "p_m-a-b-c-0"], ["p_m=d", "p_m-d"]]


def test_a_port_that_is_free_is_looked_for_only_where_it_is_used(tmp_path, monkeypatch):
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for written in (port, float(port), f"{port}.0"):
            found = int(prepared(tmp_path, ["/bin/echo", "{port}"], port=written).argv[1])
            assert port < found <= port + 200 or port > 65000
        monkeypatch.setattr(command.ports, "free_port", lambda ports: None)
        assert told(tmp_path, ["/bin/echo", "{port}"], port=port) == ["port: no port from there on is free"]
        assert told(tmp_path, ["/bin/echo"]) == []


def test_programs_of_the_virtual_environment(tmp_path, monkeypatch):
    for folder in ("venv/bin", "elsewhere"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "accelerate").touch(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/elsewhere:/bin")
    venv = str(tmp_path / "venv")
    launch = prepared(tmp_path, ["accelerate", "launch"], venv_path=venv)
    assert launch.argv[0] == f"{venv}/bin/accelerate" and launch.env["VIRTUAL_ENV"] == venv
    assert launch.env["PATH"].split(":")[0] == f"{venv}/bin"
    assert told(tmp_path, ["accelerate"], venv_path=venv) == []
    assert told(tmp_path, ["sh"], venv_path=venv) == []
    assert told(tmp_path, ["python"], venv_path=venv)[0] == f"venv_path: there is no {venv}/bin/python"


def test_keys_that_it_ignores_are_told(tmp_path):
    keys = {
        "repo_dir": "/none", "log_with": "tensorboard", "prompt_path": "p.txt", "port": 2000, "output_dir": "/x",
        "target_path": "loras", "on_nan": "ignore", "wandb_api_key": "x", "entity_name": None,
    }  # fmt: skip
    ignored = ("repo_dir", "log_with", "prompt_path", "port")
    warned = told(tmp_path, ["/bin/echo"], "warning", **keys)
    assert warned == [
        *(f"{key}: the command trainer ignores it" for key in ignored),
        "output_dir: is ignored: {output_dir} stands for the run's own",
    ]
    used = ["/bin/echo", "{repo_dir}{log_with}{port}"]
    webui = {**keys, "use_external_webui": True, "webui_url": "http://127.0.0.1:1"}
    assert [each.split(":")[0] for each in told(tmp_path, used, "warning", **webui)] == ["output_dir"]


def finished(tmp_path: Path, *names: str, **keys: object) -> AttemptFolder:
    """An attempt whose program has written files of these names into its output_dir, the last one last."""
    run = commanded(["/bin/echo"], **keys)
    context = SweepContext(str(tmp_path / "out"), "p")
    attempt = attempt_of(run, context)
    write_attempt(attempt, command.prepare(run, attempt, context))
    for number, name in enumerate(names):
        file = attempt.output / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(safetensors({"w": ("F32", b"\0\0\0" + bytes([number]))}))
        os.utime(file, (1000 + number, 1000 + number))
    return attempt


def test_the_newest_lora_is_judged_and_copied(tmp_path):
    loras = tmp_path / "loras"
    names = ("ckpts/unet-100.safetensors", "ckpts/unet-50.safetensors", "ckpts/.unet-60.safetensors")
    attempt = finished(tmp_path, *names, target_path=str(loras), wandb_api_key="hush5c1e")
    keep = command.prepare(*_again(tmp_path, target_path=str(loras), wandb_api_key="hush5c1e")).keep
    assert command.verdict(attempt, 0).kind == "succeeded"
    assert deliver(attempt, keep) == (str(loras / "p.safetensors"), str(loras / "p.json"))
    assert (loras / "p.safetensors").read_bytes() == (attempt.output / names[1]).read_bytes()
    assert deliver(attempt, keep) == (str(loras / "p.safetensors"), str(loras / "p.json")), "its own is replaced"
    about = (loras / "p.json").read_text()
    assert json.loads(about)["options"]["target_path"] == str(loras) and "hush5c1e" not in about


def _again(tmp_path: Path, **keys: object) -> tuple[Run, AttemptFolder, SweepContext]:
    run, context = commanded(["/bin/echo"], **keys), SweepContext(str(tmp_path / "out"), "p")
    return run, attempt_of(run, context), context


def test_a_lora_that_is_missing_or_broken_is_a_failure(tmp_path):
    target = {"target_path": str(tmp_path / "loras")}
    missing = command.verdict(finished(tmp_path / "1", **target), 0)
    assert missing.kind == "failed" and "no output/**/*.safetensors was written" in missing.reason
    assert command.verdict(finished(tmp_path / "2"), 0).kind == "succeeded"
    for number, (bad, says) in enumerate(((b"", "has no safetensors header"), (b"nan", "holds NaN or infinity"))):
        attempt = finished(tmp_path / f"bad{number}", "x.safetensors")
        nan = safetensors({"w": ("F32", b"\0\0\xc0\x7f")})
        (attempt.output / "x.safetensors").write_bytes(nan if bad else bad)
        found = command.verdict(attempt, 0)
        assert found.kind == "failed" and found.reason.startswith(f"x.safetensors {says}")
    chosen = {**target, "lora_file": "unet-*.safetensors"}
    attempt = finished(tmp_path / "3", "unet-1.safetensors", "state.safetensors", **chosen)
    (attempt.output / "state.safetensors").write_bytes(b"")
    assert command.verdict(attempt, 0).kind == "succeeded"
    deliver(attempt, command.prepare(*_again(tmp_path / "3", **chosen)).keep)
    assert (tmp_path / "loras" / "p.safetensors").read_bytes() == (attempt.output / "unet-1.safetensors").read_bytes()
