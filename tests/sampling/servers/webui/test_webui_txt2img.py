"""Pictures out of the answers of a server that is not trusted."""

from __future__ import annotations

import base64
import re
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from webui_kit import Double, running, until

from automate_train.sampling.servers.png import read_png
from automate_train.sampling.servers.protocol import Failed, Refused, Unavailable
from automate_train.sampling.servers.webui.http import Http
from automate_train.sampling.servers.webui.scheduler import Scheduler
from automate_train.sampling.servers.webui.server import WebUI
from automate_train.sampling.servers.webui.txt2img import txt2img

RESULTS = "GET /agent-scheduler/v1/task/*/results"
PROMPT = {"prompt": "a cat <lora:ours:1>", "seed": 7, "steps": 4, "width": 64, "height": 64}


@pytest.fixture
def double(tmp_path: Path) -> Iterator[Double]:
    with running(tmp_path / "server") as found:
        yield found


def test_txt2img_at_once(double):
    http = Http(double.url)
    made = txt2img(http, PROMPT, 30)
    assert "Seed: 7," in made.infotext and made.others == ()
    made = txt2img(http, {**PROMPT, "n_iter": 3}, 30)  # the server sends a grid in front of them
    assert "Seed: 7," in made.infotext and made.width == 64 and len(made.others) == 3
    with pytest.raises(Refused, match=r"404.*Sampler not found"):
        txt2img(http, {**PROMPT, "sampler_name": "wrong one"}, 30)
    double.set(seconds=2)
    with pytest.raises(Unavailable, match="did not answer"):
        txt2img(http, PROMPT, 0.2)


@pytest.mark.parametrize("queues", [True, False])
@pytest.mark.parametrize("size", ["32x32", "64x64", "128x128"])
def test_a_map_of_controlnet_is_not_the_picture(double, queues, size):
    double.set(map_size=size)
    unit = {"alwayson_scripts": {"controlnet": {"args": [{"enabled": True}]}}}
    made = drawn(double, {**PROMPT, **unit}, queues)
    assert "Seed: 7," in made.infotext and (made.width, made.height) == (64, 64)
    assert [read_png(other).width for other in made.others] == [int(size.partition("x")[0])]


@pytest.mark.parametrize("queues", [True, False])
@pytest.mark.parametrize("scale", [{}, {"hr_scale": 1.5}])
def test_a_copy_before_the_highres_fix_is_not_the_picture(double, queues, scale):
    double.set(before_highres=True)
    made = drawn(double, {**PROMPT, "enable_hr": True, **scale}, queues)
    assert made.width == 64 * scale.get("hr_scale", 2) and [read_png(each).width for each in made.others] == [64]


def drawn(double: Double, body: dict, queues: bool):
    if not queues:
        return txt2img(Http(double.url), body, 30)
    client = Scheduler(Http(double.url))
    ticket = client.draw(body)
    return until(lambda: client.collect(body, ticket))


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
        (b"<html>", "not a PNG"),
        (b"", "not a PNG"),
    ],
)
def test_what_is_no_acceptable_png(double, data, words):
    image = base64.b64encode(data).decode()
    double.fault({"on": RESULTS, "what": "answer", "json": {"success": True, "data": [{"image": image}]}})
    found = Scheduler(Http(double.url)).collect(PROMPT, "some-id")
    assert isinstance(found, Failed)
    assert re.search(words, found.reason)
    double.fault({"on": "POST /sdapi/v1/txt2img", "what": "answer", "json": {"images": [image], "info": "{}"}})
    assert re.search(words, txt2img(Http(double.url), PROMPT, 30).reason)


@pytest.mark.parametrize("answer", [[], "text", None, {"success": True, "data": "x"}, {"success": True, "data": [7]}])
def test_answers_of_odd_shapes(double, answer):
    http = Http(double.url)
    client = Scheduler(http)
    double.fault({"on": "* /agent-scheduler/*", "what": "answer", "json": answer, "times": -1})
    double.fault({"on": "POST /sdapi/v1/txt2img", "what": "answer", "json": answer, "times": -1})
    for call in (lambda: client.progress(()), lambda: client.draw(PROMPT), lambda: txt2img(http, PROMPT, 30)):
        with pytest.raises(Unavailable):
            call()
    try:
        found = client.collect(PROMPT, "some-id")
    except Unavailable:
        return
    assert isinstance(found, Failed)


def test_a_picture_without_end_is_a_failed_picture(double, monkeypatch):
    monkeypatch.setattr("automate_train.sampling.servers.webui.scheduler.PICTURES", 1 << 20)
    double.fault({"on": RESULTS, "what": "answer", "json": {"success": True, "data": [{"image": "y" * (2 << 20)}]}})
    assert "more than 1 MiB" in Scheduler(Http(double.url)).collect(PROMPT, "some-id").reason


def test_an_answer_without_end_is_not_read_to_its_end(double):
    double.fault({"on": "GET /sdapi/v1/options", "what": "answer", "json": {"x": "y" * (9 << 20)}})
    [found] = WebUI(double.url).problems()
    assert found.severity == "error" and "more than 8 MiB" in str(found)
