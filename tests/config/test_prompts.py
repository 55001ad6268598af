"""Reading sample prompts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automate_train.config import prompts as prompt_files
from automate_train.config.prompts import Prompt, read_prompts
from automate_train.errors import UserError
from automate_train.sampling.batch import variants
from automate_train.sampling.servers.protocol import Lora, SampleRequest
from automate_train.sampling.servers.webui.payload import payload, problems

SEED = Path(__file__).parents[1] / "data" / "seed"


def read_text(folder: Path, name: str, text: str) -> list[Prompt]:
    (folder / name).write_text(text, encoding="utf-8", newline="")
    return read_prompts(folder / name)


def test_the_seeds_text_prompts():
    prompts = read_prompts(SEED / "prompts.txt")
    assert len(prompts) == 12
    first = prompts[0]
    assert first.text == "iom 1girl, upper body shot, school uniform,  jacket" and first.negative.startswith(
        "easynegative"
    )
    assert first.fields == {"steps": 30, "cfg_scale": 8.5, "width": 512, "height": 768}
    assert [prompt.seed for prompt in prompts] == [43] * 3 + [42] * 6 + [43] * 3


def test_comments_blank_lines_and_dashes_that_are_text(tmp_path: Path):
    file = tmp_path / "p.txt"
    file.write_text("# comment\n\na -- dash, x--y --s 3\n", encoding="utf-8")
    (prompt,) = read_prompts(file)
    assert (prompt.text, prompt.fields, prompt.line) == ("a -- dash, x--y", {"steps": 3}, 3)


@pytest.mark.parametrize(
    ("line", "text", "fields"),
    [
        ("a --W 512 --SS Euler a --L 7.5", "a", {"width": 512, "sampler_name": "Euler a", "cfg_scale": 7.5}),
        ("a --g 3.5 --ctr .25 --rcfg 1 --fs 3", "a",
         {"guidance_scale": 3.5, "cfg_trunc_ratio": 0.25, "renorm_cfg": 1, "flow_shift": 3}),
        ("a --cn poses/x.png --s 3 --s 4", "a", {"controlnet_image": "poses/x.png", "steps": 4}),
        ("a --5 b -- c --, --_x y--z --é d", "a --5 b -- c --, --_x y--z --é d", {}),
        ("a\u2028b --w 8", "a\u2028b", {"width": 8}),
        ("a --n", "a", {}),
    ],
)  # fmt: skip
def test_options_of_a_line(tmp_path: Path, line: str, text: str, fields: dict[str, Any]):
    (prompt,) = read_text(tmp_path, "p.txt", line)
    assert (prompt.text, prompt.fields, prompt.negative) == (text, fields, "")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("a --zz 3", "there is no prompt option --zz"),
        ("a photo --sticker on it", "there is no prompt option --sticker"),
        ("a --s many", "--s must be a whole number, not 'many'"),
        ("a --w 512px", "--w must be a whole number"),
        ("a --h 0", "--h must be a whole number from 1"),
        ("a --l 7,5", "--l must be a number"),
        ("a --w", "--w has no value"),
        ("--w 512", "no prompt before them"),
        ("a\0b", "holds a character that no file can hold"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, words: str):
    with pytest.raises(UserError, match=r"p\.txt:2: ") as caught:
        read_text(tmp_path, "p.txt", f"fine\n{line}\n")
    assert words in str(caught.value)


@pytest.mark.parametrize(("given", "seed"), [("-1", None), ("null", None), ("43", 43), ('"43"', 43), ("43.0", 43)])
def test_seeds(tmp_path: Path, given: str, seed: int | None):
    assert read_text(tmp_path, "p.json", f'[{{"prompt": "a", "seed": {given}}}]')[0].seed == seed
    assert read_text(tmp_path, "p.txt", "a --d -1\nb")[0].seed is None


def test_what_steers_the_pictures(tmp_path: Path):
    text = '{"prompt": "<lora:$1:1>", "regex_to_replace": "$1", "lora_weights": [0.6, "0.8", 1], "baseline": true}'
    (prompt,) = read_text(tmp_path, "p.json", text)
    assert (prompt.placeholder, prompt.weights, prompt.baseline, prompt.fields) == ("$1", (0.6, 0.8, 1.0), True, {})


def test_any_field_passes_as_it_is(tmp_path: Path):
    fields = {
        "cfg_scale": 7.5, "hr_upscaler": "R-ESRGAN 4x+ Anime6B", "enable_hr": True, "some_new_field": [1, {"a": None}],
        "alwayson_scripts": {"x": {"args": [True, {"deep": [[1.5, "y"]]}]}}, "override_settings": {"CLIP": 2},
    }  # fmt: skip
    for text in (json.dumps([{"prompt": "a", **fields}]), json.dumps({"prompt": "a", **fields})):
        assert dict(read_text(tmp_path, "p.json", text)[0].fields) == fields


def test_old_spellings_of_values(tmp_path: Path):
    text = '{"prompt": "a", "width": "512", "height": 768.0, "enable_hr": "True", "cfg_scale": "7.5", "steps": null}'
    fields = read_text(tmp_path, "p.json", text)[0].fields
    assert {name: value for name, value in fields.items() if value is not None} == {
        "width": 512, "height": 768, "enable_hr": True, "cfg_scale": 7.5
    }  # fmt: skip


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ('"width": "abc"', "width must be a whole number, not 'abc'"),
        ('"height": 512.5', "height must be a whole number"),
        ('"width": true', "width must be a whole number"),
        ('"steps": -1', "steps must be a whole number from 1 to 10000, not -1"),
        ('"seed": -2', "seed must be"),
        ('"cfg_scale": [7]', "cfg_scale must be a number"),
        ('"denoising_strength": 2', "denoising_strength must be a number from 0 to 1"),
        ('"negative_prompt": 3', "negative_prompt must be a text"),
        ('"enable_hr": 1', "enable_hr must be true or false"),
        ('"alwayson_scripts": []', "alwayson_scripts must be an object"),
        ('"lora_weights": "0.6,0.8"', "lora_weights must be a list"),
        ('"lora_weights": []', "lora_weights must be a list of numbers"),
        ('"lora_weights": [0.6, "x"]', "lora_weights must be a list of numbers"),
        ('"lora_weights": [1, 1.0]', "lora_weights lists a weight twice"),
        ('"baseline": "maybe"', "baseline must be true or false"),
        ('"regex_to_replace": 3', "regex_to_replace must be a text"),
        ('"batch_size": 4', "batch_size must be 1 or left out"),
        ('"n_iter": 2', "n_iter must be 1 or left out"),
        ('"disable_extra_networks": true', "disable_extra_networks must be false"),
        ('"x": {"y": [1e999]}', "x holds inf"),
        ('"x": "\\ud800"', "x holds a character that no file can hold"),
        ('"x": 99999999999999999999', "x holds a number that is too large"),
    ],
)
def test_a_wrong_field_is_named_with_its_prompt(tmp_path: Path, field: str, words: str):
    with pytest.raises(UserError, match=r"p\.json, prompt 2: ") as caught:
        read_text(tmp_path, "p.json", f'[{{"prompt": "a"}}, {{"prompt": "b", {field}}}]')
    assert words in str(caught.value)


def test_fields_that_may_only_say_the_one_thing_are_left_out(tmp_path: Path):
    (prompt,) = read_text(tmp_path, "p.json", '{"prompt": "a", "batch_size": 1, "n_iter": 1, "send_images": true}')
    assert prompt.fields == {}


def test_the_seeds_missing_comma_is_explained(tmp_path: Path):
    """The example of the old script's page, which was never valid."""
    text = """[
	{
        "prompt": "iom, 1boy, upper body shot <lora:$1:1>",
        "seed": 43,
				"regex_to_replace" : "$1" # Here is the regex
        "negative_prompt": "easynegative, low quality",
    },
]"""
    with pytest.raises(UserError) as caught:
        read_text(tmp_path, "p.json", text)
    lines = str(caught.value).split("\n")
    assert lines[0].endswith("p.json:6:9: a comma is missing before this")
    assert lines[1].strip().startswith('"negative_prompt"') and lines[2].index("^") == lines[1].index('"')
    assert "end of the line above" in lines[2]
    (prompt,) = read_text(tmp_path, "p.json", text.replace('"$1" #', '"$1", #'))
    assert (prompt.placeholder, prompt.negative, prompt.seed) == ("$1", "easynegative, low quality", 43)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.json", '[{"prompt": "a", "steps": 3}, // x\n {"prompt": "b", "negative_prompt": "n"},]'),
        ("p.toml", '[[prompts]]\nprompt = "a"\nsteps = 3\n[[prompts]]\nprompt = "b"\nnegative_prompt = "n"\n'),
        (
            "p.toml",
            '[prompt]\n[[prompt.subset]]\nprompt = "a"\nsteps = 3\n'
            '[[prompt.subset]]\nprompt = "b"\nnegative_prompt = "n"\n',
        ),
        (
            "p.toml",
            '[prompt]\nsteps = 3\n[[prompt.subset]]\nprompt = "a"\n[[prompt.subset]]\nprompt = "b --n n"\n'
            'negative_prompt = "n"\n',
        ),
        ("p.toml", 'steps = 3\n[[prompts]]\nprompt = "a"\n[[prompts]]\nprompt = "b"\nnegative_prompt = "n"\n'),
        (
            "p.toml",
            '# JSON under the other name\n[\n {"prompt": "a", "steps": 3}, {"prompt": "b", "negative_prompt": "n"}]',
        ),
        ("p.json", '["a --s 3", "b --n n"]'),
        ("P.TXT", "a --s 3\nb --n n"),
        ("p.json", '{"steps": 3, "prompts": [{"prompt": "a"}, {"prompt": "b", "negative_prompt": "n"}]}'),
    ],
)
def test_structured_prompts(tmp_path: Path, name: str, text: str):
    (tmp_path / name).write_text(text)
    first, second = read_prompts(tmp_path / name)
    assert (first.text, first.fields, second.negative) == ("a", {"steps": 3}, "n")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.json", "[1]"), ("p.json", "{}"), ("p.json", "["), ("p.json", "[]"), ("p.json", "3"), ("p.txt", "\n"),
        ("p.md", "x"), ("p.toml", "prompts = 3"), ("p.toml", "[prompt]\nsubset = [3]"),
        ("p.toml", "[prompt]\nsteps = 3"),
        ("p.toml", 'prompt = "a"\nx = 2020-01-01'), ("p.toml", "a = ["), ("p.json", '{"prompt": ["x", 3]}'),
    ],
)  # fmt: skip
def test_files_without_prompts(tmp_path: Path, name: str, text: str):
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match="p\\."):
        read_prompts(tmp_path / name)


def test_a_byte_order_mark_and_windows_lines(tmp_path: Path):
    (tmp_path / "p.txt").write_bytes("\ufeff# 주석\r\n소년 --w 8\r\n".encode())
    assert [(prompt.text, prompt.fields, prompt.line) for prompt in read_prompts(tmp_path / "p.txt")] == [
        ("소년", {"width": 8}, 2)
    ]
    (tmp_path / "p.json").write_bytes('\ufeff["x"]'.encode())
    assert read_prompts(tmp_path / "p.json")[0].text == "x"
    (tmp_path / "p.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="not UTF-8"):
        read_prompts(tmp_path / "p.txt")


PIECES = st.sampled_from(
    ["a", " --w 8", " --", "--", " --n x", " --d -1", "\n", "#", '"', "{", "}", "[", "]", ",", ":", "=", "prompt",
     "<lora:$1:1>",
     "[prompt]", "[[prompt.subset]]", "[[prompts]]", 'prompt = "a"', '{"prompt": "a"}', "1e999", "\\ud800",
     "\0", "\u2028", "nan", "-1"]
)  # fmt: skip
TEXTS = st.one_of(st.text(max_size=60), st.lists(PIECES, max_size=12).map("".join))
VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=8),
        st.sampled_from([10**400, "512", "$1"]),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
)
NAMES = st.sampled_from(
    "prompt negative_prompt seed width steps cfg_scale lora_weights baseline regex_to_replace batch_size enable_hr x "
    "alwayson_scripts controlnet_image controlnet_model sample_steps scale override_settings init_images mask".split()
)


def nothing_but_a_user_error(file: Path) -> None:
    """Reading, and everything that is made of what was read."""
    try:
        prompts = read_prompts(file)
    except UserError as error:
        assert file.name in str(error)
        return
    problems(prompts)
    for variant in variants(prompts):
        lora = None if variant.baseline else Lora("n", file)
        try:
            body = payload(SampleRequest(prompts[variant.number], 1, lora, variant.weight))
        except UserError:
            continue
        json.dumps(body, allow_nan=False).encode()


@settings(max_examples=300)
@given(text=TEXTS, ending=st.sampled_from(["txt", "json", "toml"]))
def test_no_text_gives_a_traceback(tmp_path_factory, text: str, ending: str):
    file = tmp_path_factory.getbasetemp() / f"fuzz.{ending}"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    nothing_but_a_user_error(file)


@settings(max_examples=300)
@given(found=st.one_of(VALUES, st.lists(st.dictionaries(NAMES, VALUES, max_size=5), max_size=3)))
def test_no_values_give_a_traceback(tmp_path_factory, found: Any):
    file = tmp_path_factory.getbasetemp() / "values.json"
    file.write_text(json.dumps(found), encoding="utf-8")
    nothing_but_a_user_error(file)


def test_a_file_is_read_once_until_it_changes(tmp_path, monkeypatch):
    file, reads = tmp_path / "p.txt", []
    monkeypatch.setattr(prompt_files, "read_text", lambda path: reads.append(path) or Path(path).read_text())
    file.write_text("a boat\n")
    for _ in range(3):
        (prompt,) = read_prompts(file)
        assert prompt.text == "a boat" and len(reads) == 1
    file.write_text("a red boat\n")
    assert read_prompts(file)[0].text == "a red boat" and len(reads) == 2
