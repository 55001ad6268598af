"""Prompts as pictures and as what a WebUI is sent."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automate_train.config.prompts import Prompt, read_prompts
from automate_train.errors import UserError
from automate_train.sampling.servers.protocol import Lora, SampleRequest
from automate_train.sampling.servers.webui.payload import parameters, payload, problems, tagged, without_lora

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(64))
BASE64 = base64.b64encode(PNG).decode()


def read_json(folder: Path, *entries: dict[str, Any]) -> list[Prompt]:
    (folder / "p.json").write_text(json.dumps(list(entries)), encoding="utf-8")
    return read_prompts(folder / "p.json")


def request(prompt: Prompt, lora: str | None, weight: float | None, seed: int) -> SampleRequest:
    return SampleRequest(prompt, seed, Lora(lora, Path("x.safetensors")) if lora else None, weight)


def test_a_line_becomes_a_request(tmp_path: Path):
    (tmp_path / "p.txt").write_text("a boat, sea --d 43 --s 30 --n low, bad --l 8.5 --w 512 --h 768 --ss euler_a")
    (prompt,) = read_prompts(tmp_path / "p.txt")
    assert prompt.seed == 43
    assert payload(request(prompt, "run-e2", None, 7)) == {
        "prompt": "a boat, sea <lora:run-e2:1>", "negative_prompt": "low, bad", "seed": 7, "steps": 30,
        "cfg_scale": 8.5, "width": 512, "height": 768, "sampler_name": "Euler a", "batch_size": 1, "n_iter": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "placeholder", "weight", "sent"),
    [
        ("a", "", None, "a <lora:N:1>"),
        ("a", "", 0.6, "a <lora:N:0.6>"),
        ("", "", None, "<lora:N:1>"),
        ("a <lora:other:1>", "", None, "a <lora:other:1> <lora:N:1>"),
        ("a <lora:N:0.7>", "", None, "a <lora:N:0.7>"),
        ("a $1 <lora:$1:0.8>, b", "$1", None, "a N <lora:N:0.8>, b"),
        ("a $1 <lora:$1:0.8>, b", "$1", 0.6, "a N <lora:N:0.6>, b"),
        ("<lora:$1>", "$1", 0.6, "<lora:N:0.6>"),
        ("<lora:$1:0.8:0.5:lbw=ALL> <lora:x:0.8>", "$1", 0.6, "<lora:N:0.6:0.6:lbw=ALL> <lora:x:0.8>"),
        ("<lora:$1:te=1:unet=.5>", "$1", 0.6, "<lora:N:te=0.6:unet=0.6>"),
        ("<lora:$1:lbw=ALL>", "$1", 0.6, "<lora:N:0.6:lbw=ALL>"),
        ("<lora:$1:1:1:64>", "$1", 0.6, "<lora:N:0.6:0.6:64>"),
        ("<lyco:.*:1>", ".*", None, "<lyco:N:1>"),
        ("a photo of $1", "$1", None, "a photo of N <lora:N:1>"),
        ("a <lora:$1_v2:1>", "$1", None, "a <lora:N_v2:1> <lora:N:1>"),
    ],
)
def test_the_loras_tag(text: str, placeholder: str, weight: float | None, sent: str):
    prompt = Prompt(text, f"not {placeholder}", placeholder=placeholder)
    assert tagged(prompt, "N", weight) == (sent, "not N" if placeholder else "not ")


@pytest.mark.parametrize(
    ("text", "placeholder", "sent"),
    [
        ("a, <lora:$1:0.8>, b <lora:other:1>", "$1", "a, , b <lora:other:1>"),
        ("a photo of $1 <lora:$1:1:lbw=ALL>", "$1", "a photo of"),
        ("a <lora:other:1>", "", "a <lora:other:1>"),
    ],
)
def test_the_baseline_has_no_lora_of_ours(text: str, placeholder: str, sent: str):
    prompt = Prompt(text, "low", placeholder=placeholder)
    assert prompt.words() == (sent, "low")
    assert without_lora(tagged(prompt, "at-1-x", 0.6)[0], "at-1-x") == sent, "of the first edition's JSON files"


TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
NESTED = st.recursive(TEXT | st.integers() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner))


@given(before=TEXT, after=TEXT, negative=TEXT, placeholder=TEXT.filter(bool), fields=st.dictionaries(TEXT, NESTED))
def test_the_placeholder_is_literal_and_replaced_nowhere_else(before, after, negative, placeholder, fields):
    fields = {f"x{name}": value for name, value in fields.items()} | {"xx": placeholder, "styles": [placeholder]}
    text = f"{before}<lora:{placeholder}:1>{after}"
    prompt = Prompt(text, negative, fields, placeholder=placeholder, file="p.json")
    body = payload(request(prompt, "the.name-1", None, 3))
    assert {name: body[name] for name in fields} == fields
    assert body["negative_prompt"] == negative.replace(placeholder, "the.name-1")
    assert body["prompt"].startswith(text.replace(placeholder, "the.name-1"))
    assert (placeholder not in "the.name-1" and placeholder not in "<lora::1>") or body["prompt"] != text


@given(text=TEXT, weight=st.floats(-5, 5), lora=st.from_regex(r"[A-Za-z0-9_.-]+", fullmatch=True))
def test_the_lora_is_in_every_prompt_once(text, weight, lora):
    sent, _ = tagged(Prompt(text), lora, weight)
    assert sent.count(f"<lora:{lora}:{weight:g}>") == 1 and sent.startswith(text)


def test_fields_pass_and_the_trainers_own_do_not(tmp_path: Path):
    nested = {"adetailer": {"args": [True, {"ad_model": "face.pt"}]}}
    (prompt,) = read_json(
        tmp_path,
        {"prompt": "a", "sample_steps": 5, "scale": 3, "guidance_scale": 2, "sampler_name": "DPM++ 2M Karras",
         "sample_sampler": "ddim", "alwayson_scripts": nested, "override_settings": {"image": "x.png"}, "new": None,
         "width": None},
    )  # fmt: skip
    assert payload(request(prompt, "N", None, 1)) == {
        "prompt": "a <lora:N:1>", "negative_prompt": "", "seed": 1, "steps": 5, "cfg_scale": 3, "batch_size": 1,
        "n_iter": 1, "sampler_name": "DPM++ 2M Karras", "alwayson_scripts": nested, "new": None,
        "override_settings": {"image": "x.png"},
    }  # fmt: skip


def test_images_become_base64_where_the_field_is_an_image(tmp_path: Path):
    (tmp_path / "sub").mkdir()
    for name in ("pose.png", "sub/mask.webp", "auto"):
        head = b"RIFF0000WEBP" if name.endswith("webp") else b"text" if name == "auto" else b""
        (tmp_path / name).write_bytes(head + PNG)
    unit = {"image": {"image": "pose.png", "mask": "sub/mask.webp"}, "module": "pose.png", "weight": 1}
    scripts = {"ControlNet": {"args": [unit, {"input_image": str(tmp_path / "pose.png")}]}, "x": {"args": ["pose.png"]}}
    entry = {"prompt": "pose.png", "alwayson_scripts": scripts, "init_images": ["pose.png", BASE64], "mask": "auto",
             "image": "https://x/y.png", "override_settings": {"image": "pose.png"}}  # fmt: skip
    (prompt,) = read_json(tmp_path, entry)
    body = payload(request(prompt, "N", None, 1))
    mask = base64.b64encode(b"RIFF0000WEBP" + PNG).decode()
    assert body["alwayson_scripts"] == {
        "ControlNet": {
            "args": [
                {"image": {"image": BASE64, "mask": mask}, "module": "pose.png", "weight": 1},
                {"input_image": BASE64},
            ]
        },
        "x": {"args": ["pose.png"]},
    }
    assert body["init_images"] == [BASE64, BASE64] and body["prompt"] == "pose.png <lora:N:1>"
    assert (body["mask"], body["image"], body["override_settings"]) == (
        "auto", "https://x/y.png", {"image": "pose.png"}
    )  # fmt: skip
    assert prompt.fields["alwayson_scripts"] == scripts, "the prompt itself stays"

    shown = parameters(request(prompt, "N", None, 1))
    assert shown["alwayson_scripts"] == scripts and BASE64 not in json.dumps(shown)
    assert shown["init_images"] == ["pose.png", f"({len(BASE64)} characters)"]
    assert shown["prompt"] == body["prompt"] and problems([prompt]) == []


def test_the_controlnet_shorthand(tmp_path: Path):
    (tmp_path / "pose.png").write_bytes(PNG)
    short = {"controlnet_model": "openpose [1]", "controlnet_image": "pose.png", "controlnet_preprocessor": "openpose"}
    unit = {"enabled": True, "module": "openpose", "model": "openpose [1]", "image": BASE64}
    alone, beside = read_json(
        tmp_path,
        {"prompt": "a", **short},
        {"prompt": "b", **short, "alwayson_scripts": {"ControlNet": {"args": [{"model": "x"}]}, "y": {}}},
    )
    body = payload(request(alone, "N", None, 1))
    assert body["alwayson_scripts"] == {"controlnet": {"args": [unit]}} and not set(short) & set(body)
    both = payload(request(beside, "N", None, 1))["alwayson_scripts"]
    assert both == {"ControlNet": {"args": [{"model": "x"}, unit]}, "y": {}}
    assert parameters(request(alone, "N", None, 1))["alwayson_scripts"]["controlnet"]["args"] == [
        {**unit, "image": "pose.png"}
    ]


@pytest.mark.parametrize(
    ("fields", "severity", "words"),
    [
        ({"controlnet_image": "gone.png", "controlnet_model": "x"}, "error", "there is no image"),
        ({"controlnet_image": "gone", "controlnet_model": "x"}, "error", "there is no image gone"),
        ({"controlnet_image": "text.png", "controlnet_model": "x"}, "error", "text.png is not an image"),
        ({"controlnet_model": "x"}, "error", "controlnet_image: is missing"),
        ({"alwayson_scripts": {"controlnet": {"args": [{"image": "gone.jpg"}]}}}, "error", "there is no image"),
        ({"init_images": ["text.png"]}, "error", "is not an image"),
        ({"controlnet_image": BASE64}, "warning", "no effect on a WebUI without controlnet_model"),
        ({"negative_promt": "x"}, "warning", "did you mean negative_prompt?"),
        ({"guidance_scale": 3}, "warning", "not sent to a WebUI"),
        ({"sample_sampler": "dpmsingle"}, "warning", "a sampler of the trainer"),
        ({"regex_to_replace": "$1"}, "warning", "'$1' is in none of the prompts"),
        ({"enable_hr": True, "hr_prompt": "b"}, "warning", "the second pass"),
    ],
)
def test_what_a_webui_cannot_make_is_said(tmp_path: Path, fields: dict[str, Any], severity: str, words: str):
    (tmp_path / "text.png").write_text("no picture")
    prompts = read_json(tmp_path, {"prompt": "fine"}, {"prompt": "a", **fields})
    (problem,) = problems(prompts)
    assert problem.severity == severity and str(problem).startswith(f"{tmp_path / 'p.json'}, prompt 2: ")
    assert words in str(problem)


def test_an_image_that_went_away_is_the_users_error(tmp_path: Path):
    (tmp_path / "pose.png").write_bytes(PNG)
    (prompt,) = read_json(tmp_path, {"prompt": "a", "controlnet_image": "pose.png", "controlnet_model": "x"})
    (tmp_path / "pose.png").unlink()
    with pytest.raises(UserError, match=r"p\.json, prompt 1: there is no image .*pose\.png"):
        payload(request(prompt, "N", None, 1))
    assert parameters(request(prompt, "N", None, 1))["alwayson_scripts"]["controlnet"]["args"][0]["image"] == "pose.png"
