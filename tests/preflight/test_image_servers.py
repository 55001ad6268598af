"""Servers and prompts looked at before a sweep: what is said, and that nothing is changed."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from webui_kit import Double, running

from automate_train.errors import Problem
from automate_train.preflight import checks, image_servers
from automate_train.records import Setting, Source


@pytest.fixture
def double(tmp_path: Path) -> Iterator[Double]:
    with running(tmp_path / "server") as found:
        yield found


def options(tmp_path: Path, **values: object) -> dict[str, Setting]:
    prompts = tmp_path / "prompts.txt"
    if not prompts.exists():
        prompts.write_text("a cat\n")
    values = {"use_external_webui": True, "prompt_path": str(prompts), **values}
    return {key: Setting(value, Source("default file", "d.json"), key) for key, value in values.items()}


def found_in(options: list[dict[str, Setting]]) -> list[Problem]:
    return list(dict.fromkeys(checks.of_servers(options)))


def texts(found: list) -> list[str]:
    return [f"{each.severity}: {each}" for each in found]


def test_a_server_that_can_do_everything(double, tmp_path):
    assert found_in([options(tmp_path, webui_url=double.url)] * 3) == []
    asked = double.log()["requests"]
    assert {each["method"] for each in asked} == {"GET"} and len(asked) == 4, "each server is probed once"


@pytest.mark.parametrize(
    ("settings", "severity", "words"),
    [
        ({"auth": "bob:secret"}, "error", "does not know user 'eve'"),
        ({"api": False}, "error", "start the WebUI with --api"),
        ({"uploader": False}, "error", "set webui_lora_dir"),
        ({"scheduler": False}, "warning", "install sd-webui-agent-scheduler"),
        ({"uploader": False, "scheduler": False}, "error", "set webui_lora_dir"),
    ],
)
def test_what_is_wrong_with_a_server(double, tmp_path, settings, severity, words):
    double.set(**settings)
    found = found_in([options(tmp_path, webui_url=double.url, webui_auth="eve:wrong-word")])
    [text] = [each for each in texts(found) if words in each]
    assert text.startswith(f"{severity}: default file") and "webui_url" in text
    assert not any("wrong-word" in each for each in texts(found))


def test_a_paused_queue_is_a_warning(double, tmp_path):
    double.control(paused=True)
    [found] = found_in([options(tmp_path, webui_urls=[double.url])])
    assert found.severity == "warning" and "paused" in str(found)


@pytest.mark.parametrize(
    ("settings", "severity", "words"),
    [
        ({"samples_format": "jpg"}, "error", "saves samples as jpg"),
        ({"lora_hashes": False}, "warning", "Lora hashes"),
    ],
)
def test_settings_of_a_server_that_spoil_every_picture(double, tmp_path, settings, severity, words):
    double.set(**settings)
    [found] = found_in([options(tmp_path, webui_url=double.url)])
    assert found.severity == severity and words in str(found)


def test_two_servers_with_different_base_models(double, tmp_path):
    with running(tmp_path / "second", model="other_model") as second:
        [found] = found_in([options(tmp_path, webui_urls=[double.url, second.url])])
    assert found.severity == "error" and "base_model" in str(found) and "other_model" in str(found)


def test_passwords_may_be_in_the_environment(double, tmp_path, monkeypatch):
    double.set(auth="bob:secret")
    [found] = found_in([options(tmp_path, webui_url=double.url)])
    assert "AUTOMATE_TRAIN_WEBUI_AUTH" in str(found)
    monkeypatch.setenv("AUTOMATE_TRAIN_WEBUI_AUTH", "bob:secret")
    assert found_in([options(tmp_path, webui_url=double.url)]) == []


def test_a_shared_folder_needs_no_uploader(double, tmp_path):
    double.set(uploader=False)
    assert found_in([options(tmp_path, webui_url=double.url, webui_lora_dir=str(tmp_path))]) == []


def test_no_webui(tmp_path):
    [found] = found_in([options(tmp_path, webui_url="127.0.0.1:9")])
    assert found.severity == "error" and "refuses the connection" in str(found)


def test_servers_that_are_silent_are_asked_side_by_side(tmp_path, monkeypatch):
    monkeypatch.setattr(image_servers, "SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        began = time.monotonic()
        urls = [f"http://127.0.0.1:{port}", f"http://localhost:{port}/x"]
        found = found_in([options(tmp_path, webui_urls=urls)])
        assert time.monotonic() - began < 5
    assert len(found) == 2 and all("has not answered" in str(each) for each in found)


def test_what_is_missing_in_the_options(tmp_path):
    found = found_in([options(tmp_path, prompt_path=None)])
    assert [(each.key, each.severity) for each in found] == [("webui_url", "error"), ("prompt_path", "error")]
    assert found_in([options(tmp_path, use_external_webui=False)]) == []


def test_prompts_that_no_webui_can_make(double, tmp_path):
    (tmp_path / "prompts.json").write_text('[{"prompt": "a", "controlnet_image": "none.png", "controlnet_model": "m"}]')
    [found] = found_in([options(tmp_path, webui_url=double.url, prompt_path=str(tmp_path / "prompts.json"))])
    assert found.severity == "error" and "none.png" in str(found)
    [found] = found_in([options(tmp_path, webui_url=double.url, prompt_path=str(tmp_path / "no.txt"))])
    assert found.severity == "error" and "no.txt" in str(found)


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"sample_opt": "step", "save_every_n_epochs": 1}, "set save_every_n_steps"),
        ({"sample_num": 3, "save_every_n_epochs": 2}, "a multiple of 2"),
        ({"sample_num": 4, "save_every_n_epochs": 2}, ""),
        ({"sample_opt": "step", "sample_num": 100, "save_every_n_steps": 50}, ""),
        ({"sample_opt": "None", "sample_num": 3, "save_every_n_epochs": 2}, ""),
    ],
)
def test_a_rule_that_no_checkpoint_meets(double, tmp_path, wish, words):
    found = texts(found_in([options(tmp_path, webui_url=double.url, **wish)]))
    assert (len(found) == 1 and words in found[0]) if words else found == []
