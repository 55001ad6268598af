"""The prompt file as the trainer's own sampler gets it."""

from __future__ import annotations

import json
from typing import Any

import pytest
import toml
from sd_scripts_kit import Bench

from automate_train.errors import UserError
from automate_train.trainers.sd_scripts import prompt_file
from automate_train.trainers.sd_scripts.resolve import resolve

NAMED = {"prompt": "a", "sample_steps": 7, "scale": 5.5, "seed": 1}


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def copy_of(bench: Bench, name: str, text: str, **keys: Any) -> Any:
    """What the trainer is given: the copy's values, or None where it reads the user's file."""
    file = bench.folder / name
    file.write_bytes(text.encode())
    launch = bench.prepare({"prompt_path": str(file), **keys})
    given = toml.loads(launch.files["training.toml"])["sample_prompts"]
    if prompt_file.COPY not in launch.files:
        assert given == str(file)
        return None
    assert given.endswith(f"attempt-1/{prompt_file.COPY}")
    return json.loads(launch.files[prompt_file.COPY])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.json", '[{"prompt": "a", "steps": 7, "cfg_scale": 5.5, "seed": 1}, // a comment\n "b --s 3",]'),
        ("p.json", '["a --s 7 --l 5.5 --d 1", {"prompt": "b", "sample_steps": 3, "steps": 20, "seed": -1}]'),
        ("p.toml", '[prompt]\nscale = 5.5\n[[prompt.subset]]\nprompt = "a"\nseed = 1\nsteps = 7\n'
                   '[[prompt.subset]]\nprompt = "b"\nsteps = 3\nscale = ""\n'),
        ("p.toml", '[{"prompt": "a", "steps": 7, "cfg_scale": 5.5, "seed": 1}, {"prompt": "b", "steps": 3}]'),
        ("P.TXT", "a --s 7 --l 5.5 --d 1\nb --s 3"),
    ],
)  # fmt: skip
def test_prompts_get_the_names_of_the_trainers_own_sampler(bench, name, text):
    assert copy_of(bench, name, text) == [NAMED, {"prompt": "b", "sample_steps": 3}]


@pytest.mark.parametrize("text", ["// a comment", '[{"prompt": "a", "steps": "x"}]', "["])
def test_a_file_that_cannot_be_read_is_named(bench, text):
    with pytest.raises(UserError, match=r"prompt_path: the trainer's own sampler cannot read .*p\.json"):
        copy_of(bench, "p.json", text)


@pytest.mark.parametrize(
    "text",
    [
        "# comment\n\na boat, x--y --W 512 --h 768 --d 0 --s 20 --l 7.5 --n bad, low\n",
        "a --ss euler_a --g 3.5 --ctr 0.25 --rcfg 1.0 --fs 3.0\r\nb\r\n",
    ],
)
def test_a_text_that_the_trainer_reads_as_we_do_stays_where_it_lies(bench, text):
    assert copy_of(bench, "p.txt", text) is None


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("a -- dash, b --s 3", {"prompt": "a -- dash, b", "sample_steps": 3}),
        ("a --s  3", {"prompt": "a", "sample_steps": 3}),
        ("a --d 5 --d -1 --l 3", {"prompt": "a", "scale": 3}),
        ("\ufeffa --s 3", {"prompt": "a", "sample_steps": 3}),
        ("  # comment\na", {"prompt": "a"}),
        ("d 20 dice", {"prompt": "d 20 dice"}),
        ("a --n low -- bad", {"prompt": "a", "negative_prompt": "low -- bad"}),
        ("a --cn pose.png", {"prompt": "a"}),
        ("a --ss Euler a", {"prompt": "a", "sample_sampler": "euler_a"}),
        ("a --ss DPM++ 2M Karras", {"prompt": "a"}),
        ("a <lora:other:1>", {"prompt": "a"}),
    ],
)
def test_a_text_that_the_trainer_would_misread_is_copied(bench, text, named):
    assert copy_of(bench, "p.txt", text) == [named]


def test_what_only_a_webui_can_do_is_left_out_and_said(bench):
    fancy = {
        "prompt": "a <lora:$1:0.8>", "negative_prompt": "low", "regex_to_replace": "$1", "width": 64, "steps": 7,
        "alwayson_scripts": {"x": {}}, "lora_weights": [0.5, 1], "baseline": True, "sampler_name": "DPM++ 2M Karras",
        "controlnet_image": "pose.png", "seed": 3, "sample_sampler": None, "enable_hr": True,
    }  # fmt: skip
    plain = {"prompt": "b <lora:style:1>", "sampler_name": "DPM++ 2M", "lora_weights": [1]}
    copy = copy_of(bench, "p.json", json.dumps([fancy, plain]))
    assert copy == [
        {"prompt": "a", "negative_prompt": "low", "width": 64, "sample_steps": 7, "seed": 3},
        {"prompt": "b", "sample_sampler": "dpmsolver++"},
    ]
    keys = {"prompt_path": str(bench.folder / "p.json")}
    first, second = problems_of(bench, keys)
    assert (first.severity, first.key, second.severity) == ("warning", "prompt_path", "warning")
    for name in (
        "alwayson_scripts (prompt 1)",
        "lora_weights (prompt 1, 2)",
        "baseline",
        "controlnet_image",
        "enable_hr",
    ):
        assert name in first.message
    assert "<lora:style:1> (prompt 2)" in first.message and "width" not in first.message
    assert "no sampler DPM++ 2M Karras: its sample_sampler is used" in second.message
    assert problems_of(bench, {**keys, "sample_opt": None}) == []


def test_controlnet_training_keeps_the_image_by_its_whole_path(bench):
    (bench.repo / "train_control_net.py").write_text((bench.repo / "train_network.py").read_text())
    keys = {"train_script": "train_control_net.py"}
    (found,) = copy_of(bench, "p.txt", "a --cn pose.png", **keys)
    assert found["controlnet_image"] == str(bench.folder / "pose.png")
    assert problems_of(bench, {"prompt_path": str(bench.folder / "p.txt"), **keys}) == []


def problems_of(bench: Bench, keys: dict[str, Any]) -> list[Any]:
    return list(prompt_file.problems(resolve(bench.run(keys), bench.context)))
