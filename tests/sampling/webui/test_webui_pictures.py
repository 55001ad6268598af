"""Pictures: drawn at once, from a server that is not trusted, and judged by their infotext."""

from __future__ import annotations

import base64
import re
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from webui_kit import Double, running

from automate_train.sampling.servers import webui
from automate_train.sampling.servers.webui import WebUI

RESULTS = "GET /agent-scheduler/v1/task/*/results"
PROMPT = {"prompt": "a cat <lora:ours:1>", "seed": 7, "steps": 4, "width": 64, "height": 64}


@pytest.fixture
def double(tmp_path: Path) -> Iterator[Double]:
    with running(tmp_path / "server") as found:
        yield found


def test_txt2img_at_once(double):
    client = WebUI(double.url)
    [made] = client.txt2img(PROMPT)
    assert "Seed: 7," in made.infotext
    assert len(client.txt2img({**PROMPT, "n_iter": 2})) == 2
    with pytest.raises(webui.Final, match=r"404.*Sampler not found"):
        client.txt2img({**PROMPT, "sampler_name": "wrong one"})
    double.set(seconds=2)
    with pytest.raises(webui.Again, match="did not answer"):
        client.txt2img(PROMPT, limit_s=0.2)


def png_of(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII5sI", 13, b"IHDR", width, height, b"\x08\2\0\0\0", 0)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (png_of(1 << 20, 8), "larger than allowed"),
        (png_of(16000, 16000), "larger than allowed"),
        (png_of(0, 8), "larger than allowed"),
        (png_of(8, 8), "not complete"),
        (b"\xff\xd8\xff\xe0" + b"x" * 99, "JPEG.*samples_format"),
        (b"<html>", "no PNG"),
        (b"", "no PNG"),
    ],
)
def test_what_is_no_acceptable_png(double, data, words):
    client = WebUI(double.url)
    image = base64.b64encode(data).decode()
    double.fault({"on": RESULTS, "what": "answer", "json": {"success": True, "data": [{"image": image}]}})
    found = client.result("some-id")
    assert isinstance(found, webui.Failed)
    assert re.search(words, found.reason)
    double.fault({"on": "POST /sdapi/v1/txt2img", "what": "answer", "json": {"images": [image], "info": "{}"}})
    with pytest.raises(webui.Final, match=words):
        client.txt2img(PROMPT)


@pytest.mark.parametrize("answer", [[], "text", None, {"success": True, "data": "x"}, {"success": True, "data": [7]}])
def test_answers_of_odd_shapes(double, answer):
    client = WebUI(double.url)
    double.fault({"on": "* /agent-scheduler/*", "what": "answer", "json": answer, "times": -1})
    double.fault({"on": "POST /sdapi/v1/txt2img", "what": "answer", "json": answer, "times": -1})
    for call in (client.state, lambda: client.queue(PROMPT), lambda: client.txt2img(PROMPT)):
        with pytest.raises(webui.Again):
            call()
    try:
        found = client.result("some-id")
    except webui.Again:
        return
    assert isinstance(found, webui.Failed)


def test_a_picture_without_end_is_a_failed_picture(double, monkeypatch):
    monkeypatch.setattr("automate_train.sampling.servers.webui.tasks.PICTURES", 1 << 20)
    double.fault({"on": RESULTS, "what": "answer", "json": {"success": True, "data": [{"image": "y" * (2 << 20)}]}})
    assert "more than 1 MiB" in WebUI(double.url).result("some-id").reason


def test_an_answer_without_end_is_not_read_to_its_end(double):
    double.fault({"on": "GET /sdapi/v1/options", "what": "answer", "json": {"x": "y" * (9 << 20)}})
    with pytest.raises(webui.Final, match="more than 8 MiB"):
        WebUI(double.url).probe()


INFO = (
    'a, Lora hashes: "ours: 000000000000"\nNegative prompt: Model: other\nSteps: 4, Seed: 7, Model hash: a1b2c3d4e5, '
)
INFO += 'Model: my_model v1, Lora hashes: "theirs: 111111111111, ours: ABCDEF012345", Version: v1.9.4'


@pytest.mark.parametrize(
    ("name", "digest", "model", "verdict"),
    [
        ("ours", "abcdef012345", "my_model v1", "done"),
        ("ours", "", None, "done"),
        ("ours", "000000000000", None, "base model only"),
        ("our", "abcdef012345", None, "base model only"),
        (None, "", "my_model v1", "done"),
        ("ours", "abcdef012345", "sub/My_Model v1.safetensors [a1b2c3d4e5]", "done"),
        ("ours", "abcdef012345", "renamed [a1b2c3d4e5]", "done"),
        ("ours", "abcdef012345", "my_model v1 [ffffffffff]", "wrong checkpoint"),
        (None, "", "other", "wrong checkpoint"),
    ],
)
def test_judge(name, digest, model, verdict):
    assert webui.judge(INFO, name, digest, model) == verdict
    assert bool(webui.explain(verdict, INFO, name, model)) == (verdict != "done")


def test_judge_without_words():
    assert webui.judge("", "ours", "abcdef012345", None) == "base model only"
    assert webui.judge("Steps: 4, Seed: 7", None, "", "any") == "done"  # a server that tells no model is believed
    assert "hash in the infotext is not ours" in webui.explain("base model only", INFO, "ours", None)
