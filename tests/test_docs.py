"""The documentation is read: every flag that README names exists, every file in configs/ loads, the examples plan."""

from __future__ import annotations

import ast
import json
import re
from importlib import import_module
from pathlib import Path

import pytest

from automate_train.cli import COMMANDS
from automate_train.cli.parser import spell
from automate_train.config.key_sets import OURS
from automate_train.config.layers import read
from automate_train.config.prompts import read_prompts
from automate_train.sampling.batch import variants
from automate_train.sampling.servers.protocol import Lora, SampleRequest
from automate_train.sampling.servers.webui import payload

ROOT = Path(__file__).parent.parent
CONFIGS = sorted(path for path in (ROOT / "configs").rglob("*") if path.is_file())
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_flag_in_the_readme_exists():
    parsers = [import_module(f"automate_train.cli.{name}").parser() for name in ("run", *COMMANDS)]
    known = {flag for parser in parsers for flag in parser._option_string_actions}
    others = {"--logdir", "--repo", "--lr", "--api", "--api-auth", "--listen"}  # of other programs
    found = set(re.findall(r"--[a-z][a-z_-]+", README)) - others
    assert len(found) > 10
    assert [flag for flag in found if spell([flag])[0] not in known] == []


def test_every_command_is_in_the_readme():
    assert [name for name in COMMANDS if f"automate-train {name} " not in README] == []


def test_the_korean_readme_is_the_same():
    """Same blocks to copy, same words in code, same pictures and links, section by section."""
    korean = (ROOT / "README.ko.md").read_text(encoding="utf-8")
    assert re.findall(r"```.*?```", korean, re.DOTALL) == re.findall(r"```.*?```", README, re.DOTALL)

    def parts(text: str) -> list[set[str]]:
        text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
        code, links = r"`[^`]+`", r"\]\((docs/[^)]+|https?://[^)]+)\)"
        return [{*re.findall(code, part), *re.findall(links, part)} for part in text.split("\n## ")]

    for theirs, ours in zip(parts(korean), parts(README), strict=True):
        assert theirs == ours


def test_the_pythons_of_the_readme_are_those_of_the_package():
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    pythons = re.findall(r"Python :: (3\.\d+)", project)
    assert f'requires-python = ">={pythons[0]}"' in project and f"\nPython {pythons[0]} to {pythons[-1]}," in README
    assert f"\nPython {pythons[0]}에서 {pythons[-1]}," in (ROOT / "README.ko.md").read_text(encoding="utf-8")


def test_the_make_targets_of_the_readme_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^make ([a-z]+)", README, re.MULTILINE))
    assert targets == {"demo", "test"} and all(f"\n{target}:" in makefile for target in targets)


def test_the_example_of_the_readme_plans_as_it_says(automate_train, tmp_path: Path):
    default, tuning, _ = re.findall(r"```json\n(.*?)```", README, re.DOTALL)
    (tmp_path / "default.json").write_text(default, encoding="utf-8")
    (tmp_path / "tuning.json").write_text(tuning, encoding="utf-8")
    (command,) = [line for line in re.findall(r"^automate-train .*", README, re.MULTILINE) if "--dry-run" in line]
    done = automate_train(*command.split()[1:], "--json", "--cpu")
    plan = json.loads(done.stdout)
    assert [run["index"] for run in plan["runs"]] == [0, 1, 2, 3, 4] and [
        each["index"] for each in plan["dropped"]
    ] == [5]
    assert done.returncode == 2 and any("/data/" in problem["message"] for problem in plan["problems"])


def test_the_webui_example_of_the_readme_has_only_our_keys(tmp_path: Path):
    webui = re.findall(r"```json\n(.*?)```", README, re.DOTALL)[2]
    (tmp_path / "webui.json").write_text(webui, encoding="utf-8")
    assert set(read(tmp_path / "webui.json", "default file").values) <= set(OURS)


def test_every_file_in_configs_loads():
    files = [path for path in CONFIGS if path.suffix in (".json", ".toml") and path.parent.name == "quickstart"]
    assert files
    for path in files:
        assert read(path, "default file").values


PROMPTS = [path for path in CONFIGS if path.parent.name == "prompts" or path.name == "prompts.txt"]


@pytest.mark.parametrize("path", PROMPTS, ids=lambda path: path.name)
def test_every_prompt_file_in_configs_becomes_pictures(path: Path):
    prompts = read_prompts(path)
    assert payload.problems(prompts) == []
    for each in variants(prompts):
        lora = None if each.baseline else Lora("a-lora", path)
        body = payload.payload(SampleRequest(prompts[each.number], 1, lora, each.weight))
        assert ("<lora:a-lora:" in body["prompt"]) is not each.baseline
        assert json.dumps(body, allow_nan=False)


def test_the_prompt_files_show_every_form():
    assert {path.suffix for path in PROMPTS} == {".txt", ".json", ".toml"}
    prompts = [prompt for path in PROMPTS for prompt in read_prompts(path)]
    assert any(prompt.weights and prompt.baseline and prompt.placeholder for prompt in prompts)
    assert any("controlnet_image" in prompt.fields for prompt in prompts)
    assert any("alwayson_scripts" in prompt.fields for prompt in prompts)


@pytest.mark.slow
def test_the_demo_end_to_end(automate_train, tmp_path: Path):
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    flags = re.findall(
        r"--default_config_path (\S+).*?--tuning_config_path (\S+)", (ROOT / "Makefile").read_text(), re.DOTALL
    )[0]
    shorter = ["--set", "replicates=1", "--set", "num_repeats=4"]
    done = automate_train(
        "--default_config_path", flags[0], "--tuning_config_path", flags[1], "--cpu", "2", *shorter, seconds=170
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 succeeded" in done.stdout and "lowest" not in done.stdout, "no training loss is ranked"
    loras = sorted(path.name for path in (tmp_path / "demo-output/loras").glob("*.safetensors"))
    assert len(loras) == 4
    assert "quickstart_unet_lr-1e-5.safetensors" in loras
    assert len(list((tmp_path / "demo-output/_logs").rglob("events.out.tfevents*"))) == 4
    status = json.loads(automate_train("status", "demo-output", "--json").stdout)
    for run in status["runs"]:
        assert run["state"] == "succeeded" and isinstance(run["epoch_loss"], float) and len(run["checkpoints"]) == 3
    assert not list((ROOT / "configs/quickstart/images").glob("*.npz"))


def test_the_modules_that_a_header_names_exist():
    package = ROOT / "automate_train"
    rooms = {path.name for path in package.iterdir() if path.is_dir()} | {"tests", "docs", "configs"}
    gone = []
    for path in package.rglob("*.py"):
        header = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        for name in re.findall(r"`([\w.]+(?:/[\w.]+)+)`", header):
            places = [package / name, package / f"{name}.py", ROOT / name]
            if name.split("/")[0] in rooms and not any(place.exists() for place in places):
                gone.append(f"{path.relative_to(ROOT)} names {name}")
    assert not gone, "\n".join(gone)
