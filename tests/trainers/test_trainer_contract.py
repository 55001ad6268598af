"""What every trainer must do, tried against each there is (`CASES`): a new trainer gets a case here."""

from __future__ import annotations

import copy
import importlib
import inspect
import json
import os
import pkgutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sd_scripts_kit import attempt_of, make_pictures, make_repo, make_runs, safetensors

from automate_train import trainers
from automate_train.errors import UserError
from automate_train.records import Launch, Outcome, Run, SweepContext
from automate_train.store.launch import read_launch, write_attempt
from automate_train.store.layout import AttemptFolder
from automate_train.trainers import command, load, sd_scripts
from automate_train.trainers.protocol import Trainer

IMAGES = Path(__file__).parents[2] / "configs" / "quickstart" / "images"
OOM = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB\n"


@dataclass(frozen=True)
class Case:
    trainer: str
    module: ModuleType
    options: Mapping[str, Any]
    """A run that is right, with paths inside `{here}`."""
    wrong: tuple[Mapping[str, Any], ...]
    """Changes that make it wrong."""


SD_SCRIPTS = {
    "launcher": "python", "repo_dir": "{here}/repo", "model_file": "{here}/model.safetensors",
    "images_folder": "{here}/images", "resolution": 512, "unet_lr": 1e-4, "epoch_num": 1,
}  # fmt: skip
TINY = {
    "launcher": "python", "repo_dir": "tiny", "images_folder": str(IMAGES), "resolution": 32, "unet_lr": 1e-3,
    "network_dim": 2, "max_train_steps": 1, "log_with": "tensorboard",
}  # fmt: skip
ECHO = (sys.executable, "-c", "import sys; print(sys.argv)", "--lr={unet_lr}", "{output_dir}", "{name}", "{gpus}")
WRONG = ({"resolution": "x"}, {"images_folder": "{here}/none"}, {"network_dim": []},
         {"repo_dir": "/none"}, {"log_with": "all", "log_tracker_config_template": "{here}/none.toml"})  # fmt: skip
CASES = {
    "sd-scripts": Case("sd-scripts", sd_scripts, SD_SCRIPTS,
                       (*WRONG, {"model_file": "{here}/none.safetensors"}, {"cuda_device": "0,1"})),
    "tiny": Case("sd-scripts", sd_scripts, TINY, WRONG),
    "command": Case(
        "command",
        command,
        {"command": ECHO, "unet_lr": 1e-4},
        ({"command": ["/none"]}, {"command": "echo"}, {"command": [*ECHO, "{lr}"]}, {"command": ["{unet_lr}"]}),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Bench:
    """A case in a folder of its own."""

    case: Case
    here: Path

    @property
    def context(self) -> SweepContext:
        return SweepContext(str(self.here / "out"), "p", cores=2, cpu=self.case.options.get("repo_dir") == "tiny")

    def run(self, **changes: Any) -> Run:
        options = {"trainer": self.case.trainer, **self.case.options, **changes}
        return make_runs({key: self._filled(value) for key, value in options.items()})[0]

    def prepare(self, run: Run) -> Launch:
        launch: Launch = self.case.module.prepare(run, attempt_of(run, self.context), self.context)
        return launch

    def errors(self, run: Run) -> list[Any]:
        return [each for each in self.case.module.problems(run, self.context) if each.severity == "error"]

    def files(self) -> dict[str, int]:
        return {str(path): path.lstat().st_mtime_ns for path in sorted(self.here.rglob("*"))}

    def _filled(self, value: Any) -> Any:
        return value.replace("{here}", str(self.here)) if isinstance(value, str) else value


@pytest.fixture(params=CASES)
def bench(request, tmp_path) -> Bench:
    make_repo(tmp_path / "repo")
    make_pictures(tmp_path / "images")
    (tmp_path / "model.safetensors").write_bytes(safetensors({"w": ("F16", b"\0\0")}))
    return Bench(CASES[request.param], tmp_path)


def protocol() -> dict[str, Any]:
    return {name: part for name, part in vars(Trainer).items() if inspect.isfunction(part) and name[0] != "_"}


def test_every_trainer_has_a_case():
    modules = [importlib.import_module(f"automate_train.trainers.{each.name}")
               for each in pkgutil.iter_modules(trainers.__path__)]  # fmt: skip
    assert {each for each in modules if hasattr(each, "prepare")} == {case.module for case in CASES.values()}


def test_it_is_found_by_its_name_and_holds_every_function(bench):
    assert load(bench.case.trainer) is bench.case.module
    for name, wanted in protocol().items():
        parameters = list(inspect.signature(wanted).parameters)[1:]
        assert list(inspect.signature(getattr(bench.case.module, name)).parameters) == parameters, name


def test_a_run_that_is_right_is_prepared(bench):
    assert bench.errors(bench.run()) == []
    assert isinstance(bench.prepare(bench.run()), Launch)
    assert all(size >= 0 for size in bench.case.module.disk_bytes(bench.run(), bench.context))


def test_a_held_out_picture_is_in_nothing_that_a_run_is_started_on(bench):
    told = {"command": [*ECHO, "{images_folder}"], "images_folder": "{here}/images"}
    run = bench.run(**(told if bench.case.module is command else {}))
    folders = bench.case.module.training_pictures(run, bench.context)
    path = os.path.join(os.path.realpath(folders[0].path), min(folders[0].captions))
    context = bench.context._replace(held_out=frozenset({path}))
    launch = bench.case.module.prepare(run, attempt_of(run, context), context)
    (links,) = launch.caches
    assert len({os.path.splitext(name)[0] for name in links.links}) == len(folders[0].captions) - 1
    assert path not in links.links.values() and not links.fills
    asked = " ".join([*launch.argv, launch.files.get("dataset.toml", "")])
    assert links.path in asked and folders[0].path not in asked


def test_a_trainer_that_cannot_keep_pictures_from_a_run_says_so():
    (run,) = make_runs({"trainer": "command", "command": ["/bin/echo"]})
    with pytest.raises(UserError) as refused:
        command.training_pictures(run, SweepContext("/o", "p"))
    assert refused.value.problem.key == "held_out"


def test_only_the_command_trainer_and_the_tiny_one_use_the_cpu_unasked(bench):
    assert bench.case.module.needs_gpu(bench.run()) == (bench.case.options is SD_SCRIPTS)
    assert bench.case.module.needs_gpu(bench.run(repo_dir="/none")) in (True, False)


def test_nothing_is_written_or_started_and_the_answer_is_the_same_again(bench, monkeypatch):
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError(f"started {args}")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    for changes in ({}, *bench.case.wrong):
        run, before, environment = bench.run(**changes), bench.files(), dict(os.environ)
        options = copy.deepcopy({key: setting.value for key, setting in run.options.items()})
        assert bench.case.module.problems(run, bench.context) == bench.case.module.problems(run, bench.context)
        bench.case.module.disk_bytes(run, bench.context)
        if not changes:
            assert bench.prepare(run) == bench.prepare(bench.run())
        assert bench.files() == before and os.environ == environment
        assert {key: setting.value for key, setting in run.options.items()} == options


def test_what_cannot_be_prepared_is_a_problem_with_the_same_words(bench):
    for changes in bench.case.wrong:
        run = bench.run(**changes)
        errors = bench.errors(run)
        try:
            bench.prepare(run)
        except UserError as error:
            assert error.problem.message in [each.message for each in errors], changes
        assert errors, changes


def test_a_key_that_nothing_reads_is_a_problem(bench):
    [error] = bench.errors(bench.run(unet_rl=1e-4))
    assert error.key == "unet_rl" and error.source == "tuning file t.json"


def test_a_launch_says_everything(bench):
    run = bench.run(target_path="{here}/loras")
    attempt, launch = attempt_of(run, bench.context), bench.prepare(run)
    assert all(isinstance(part, str) and "\0" not in part for part in (*launch.argv, *launch.env.values()))
    assert os.path.isabs(launch.argv[0]) and os.path.isdir(launch.cwd)
    for name in (*launch.files, *launch.keep):
        assert not os.path.isabs(name) and ".." not in Path(name).parts
    assert all(os.path.isabs(target) for target in launch.keep.values())
    write_attempt(attempt, launch)
    inside = [part for part in launch.argv if part.startswith(str(attempt.path))]
    assert inside and all(os.path.exists(part) for part in inside)


def start(bench: Bench) -> tuple[AttemptFolder, Outcome]:
    """Start a run from its launch.json alone, as a person would by hand."""
    run = bench.run()
    attempt = attempt_of(run, bench.context)
    write_attempt(attempt, bench.prepare(run))
    kept = read_launch(attempt)
    with attempt.console.open("wb") as console:
        done = subprocess.run(kept.argv, cwd=kept.cwd, env={**os.environ, **kept.env}, stdout=console, stderr=console)
    outcome: Outcome = bench.case.module.verdict(attempt, done.returncode)
    return attempt, outcome


def test_a_run_can_be_started_from_its_folder_alone(bench):
    attempt, outcome = start(bench)
    if bench.case.options is SD_SCRIPTS:  # its script only has options
        assert outcome.kind == "failed" and "no checkpoint p.safetensors was written" in outcome.reason
    else:
        assert (outcome.kind, outcome.exit_code) == ("succeeded", 0), attempt.tail()


def test_secrets_are_in_the_launchs_secrets_alone(bench):
    secrets = {"wandb_api_key": "hush5c1e", "huggingface_token": "hf_5ec2e7"}
    run = bench.run(**secrets)
    launch = bench.prepare(run)
    assert set(launch.secrets.values()) == set(secrets.values())
    others = [value for name, value in launch._asdict().items() if name != "secrets"]
    for text in (repr(others), repr(launch), *map(str, bench.case.module.problems(run, bench.context))):
        assert "hush5c1e" not in text and "hf_5ec2e7" not in text


def test_a_failed_attempt_has_a_cause_from_its_folder_alone(bench):
    attempt = AttemptFolder(bench.here / "elsewhere" / "attempt-1")
    assert bench.case.module.verdict(attempt, 3) == Outcome("failed", 3, "exit code 3", "unknown")
    assert isinstance(bench.case.module.verdict(attempt, 0), Outcome)
    attempt.path.mkdir(parents=True)
    attempt.console.write_text(OOM)
    assert bench.case.module.verdict(attempt, 1).cause == "out_of_gpu_memory"
    assert bench.case.module.verdict(attempt, 143).cause == "signal"


GARBAGE = [b"", b"{", b"[]", b"null", b'{"at": "now", "kind": 1}', b'{"kind": "metrics"}', b"\xff\xfe", b"x" * 4096]
EVENT = st.builds(lambda step: json.dumps({"at": 1.0, "kind": "metrics", "step": step}).encode(), st.integers(0, 999))


@pytest.fixture(scope="module")
def attempts(tmp_path_factory) -> dict[str, AttemptFolder]:
    """An attempt of each trainer, as its launch writes it."""
    found = {}
    for name, case in CASES.items():
        here = tmp_path_factory.mktemp(name)
        make_repo(here / "repo")
        make_pictures(here / "images")
        bench = Bench(case, here)
        found[name] = attempt_of(bench.run(), bench.context)
        write_attempt(found[name], bench.prepare(bench.run()))
    return found


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=40)
@given(lines=st.lists(st.sampled_from(GARBAGE) | EVENT, max_size=20), cuts=st.lists(st.integers(0, 4000), max_size=8))
def test_each_event_comes_once_whatever_is_between_and_wherever_it_is_read(attempts, name, lines, cuts):
    attempt, events = attempts[name], CASES[name].module.events
    attempt.events.unlink(missing_ok=True)
    assert events(attempt, 0) == ([], 0)
    data, cursor, steps = b"\n".join([*lines, b""]), 0, []
    for end in (*sorted(cuts), len(data)):
        attempt.events.write_bytes(data[:end])
        found, cursor = events(attempt, cursor)
        steps += [event.data["step"] for event in found]
        assert events(attempt, cursor) == ([], cursor)
    assert steps == [json.loads(line)["step"] for line in lines if b'"step"' in line]
