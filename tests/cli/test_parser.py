"""Spellings of flags, and the command as it may be shown."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

from automate_train import cli
from automate_train.cli.parser import Parser, ranges, spell
from automate_train.cli.run import parser, without
from automate_train.config.key_table import KEYS
from automate_train.config.masking import Masker
from automate_train.errors import UserError


@pytest.mark.parametrize(
    ("typed", "known"),
    [
        (["-cuda-memory-limit", "9"], ["--cuda-memory-limit", "9"]),
        (["--cuda_memory_limit=7.5"], ["--cuda-memory-limit=7.5"]),
        (["-cuda_memory_limit", "-1"], ["--cuda-memory-limit", "-1"]),
        (["--set", "a_b=c_d", "-v"], ["--set", "a_b=c_d", "-v"]),
        (["--set=a_b=--c_d"], ["--set=a_b=--c_d"]),
        (["--", "--a_b"], ["--", "--a_b"]),
        (["a_b", "", "-", "-x1"], ["a_b", "", "-", "-x1"]),
    ],
)
def test_flags_are_spelled_with_dashes_and_values_stay(typed, known):
    assert spell(typed) == known


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        (["--set", "wandb_api_key=hush"], ["--set", "wandb_api_key=***"]),
        (["--set=wandb_api_key=hush", "--cpu"], ["--set=wandb_api_key=***", "--cpu"]),
        (["-set", 'webui_auth_list=["a:b=c"]'], ["-set", "webui_auth_list=***"]),
        (["--set", " huggingface_token = hush"], ["--set", " huggingface_token =***"]),
        (["--set", "unet_lr=1e-4", "--set"], ["--set", "unet_lr=1e-4", "--set"]),
        (["--project_name_base", "wandb_api_key=x"], ["--project_name_base", "wandb_api_key=x"]),
        (["--set", "nothing"], ["--set", "nothing"]),
        (["--set", "webui_urls=bob:hush@b:7860"], ["--set", "webui_urls=***@b:7860"]),
    ],
)
def test_a_secret_behind_set_is_never_shown(typed, shown):
    assert list(Masker().command(typed)) == shown


@pytest.mark.parametrize("text", ["²", "٣", "1-", "-1", "3-1", "", ",", "1,,2", "9" * 19, "1 2", "1--2"])
def test_what_is_no_index_is_refused(text):
    with pytest.raises(UserError, match=r"command line: --only: .* is not a number or a range, for example"):
        parser().parse([f"--only={text}"])


def test_indexes_may_overlap_and_stand_in_any_order():
    assert ranges(" 7-9, 0,3 ,5-7") == (range(1), range(3, 4), range(5, 8), range(7, 10))


@pytest.mark.parametrize("text", ["x", "", "-1", "1.5", "9" * 16, "9" * 5000])
def test_numbers_of_flags_have_two_ends(text):
    with pytest.raises(UserError, match=r"--cpu: .* is not a whole number of 1 or more") as caught:
        parser().parse([f"--cpu={text}"])
    assert len(str(caught.value)) < 120


@pytest.mark.parametrize(
    ("typed", "key", "value"),
    [
        (["-cuda_memory_limit", "7.5"], "cuda_memory_limit", 7.5 * 1024**3),
        (["--cpu"], "cpu", 1),
        (["--only", "3,0-1"], "only", (range(2), range(3, 4))),
        (["--port", "29501"], "port", 29501),
        (["--model_file", "a.safetensors"], "model_file", "a.safetensors"),
    ],
)
def test_flags_are_typed(typed, key, value):
    assert getattr(parser().parse(typed), key) == value


def test_a_flag_of_each_key_that_has_one():
    known = parser()._option_string_actions
    assert {f"--{(key.alias or key.name).replace('_', '-')}" for key in KEYS if key.flag} <= known.keys()
    assert sum(key.flag for key in KEYS) == 11


def test_a_word_that_is_not_a_command():
    with pytest.raises(UserError, match=r"'statuss' is neither a command nor the value of a flag .did you mean status"):
        parser().parse(["statuss"])


@pytest.mark.parametrize("command", [name for name in cli.COMMANDS if name not in ("retry", "keys", "args")])
def test_a_second_folder_is_one_word_too_many(command: str):
    """It was called a thing that is no command, with the list of all commands."""
    made = import_module(f"automate_train.cli.{command}").parser()
    needed = {"logs": ["0"], "grid": ["--x", "a", "--y", "b", "-o", "f"]}.get(command, [])
    usage = re.escape(f"automate-train {command} {cli.COMMANDS[command][0]}")
    with pytest.raises(UserError, match=rf"'b' is one word too many \(usage: {usage}\)"):
        made.parse(["a", *needed, "b"])


def test_every_command_is_a_module_with_a_parser_and_is_in_the_help():
    modules = {path.stem for path in Path(cli.__file__).parent.glob("*.py")}
    assert modules - {"__init__", "main", "output", "parser"} == {"run", *cli.COMMANDS}
    listed = parser().format_help()
    for name in cli.COMMANDS:
        made = import_module(f"automate_train.cli.{name}").parser()
        assert isinstance(made, Parser) and made.prog == f"automate-train {name}"
        assert f"\n  automate-train {name} " in listed


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        (["--set", "a=1", "--background", "--cpu"], ["--set", "a=1", "--cpu"]),
        (["--only", "3", "--cpu", "--skip_to_index=2", "-only=1"], ["--cpu"]),
    ],
)
def test_a_command_without_some_of_its_flags(typed, kept):
    assert list(without(typed, "--background", "--only", "--skip-to-index")) == kept
