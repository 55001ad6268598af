"""The client before any work: addresses, credentials, the probe; each trouble said in words that help."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from webui_kit import Double, lora, running

from automate_train.sampling.servers import webui
from automate_train.sampling.servers.webui import WebUI

PROMPT = {"prompt": "a cat", "seed": 7, "steps": 4}


@pytest.fixture
def double(tmp_path: Path) -> Iterator[Double]:
    with running(tmp_path / "server") as found:
        yield found


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("http://h:7860", "http://h:7860"),
        ("http://h:7860/", "http://h:7860"),
        ("h:7860", "http://h:7860"),
        (" https://h/sub/sdapi/v1/ ", "https://h/sub"),
        ("http://h/agent-scheduler/v1", "http://h"),
        ("http://h/docs?x=1#y", "http://h"),
        ("http://bob:secret@h:1/sub/", "http://h:1/sub"),
        ("http://[::1]:7860", "http://[::1]:7860"),
    ],
)
def test_addresses(given, kept):
    assert webui.base_url(given) == kept
    assert WebUI(given).url == kept


@pytest.mark.parametrize("given", ["", "ftp://h", "http://", "http://h:port", "http://h:99999", "http://a b/"])
def test_what_is_no_address(given):
    with pytest.raises(webui.Final, match="webui_url"):
        WebUI(given)


def test_the_address_may_end_in_the_api_or_hold_the_user(tmp_path):
    with running(tmp_path / "server", auth="bob:s e/cret") as double:
        inside = double.url.replace("//", "//bob:s%20e%2Fcret@") + "/sdapi/v1/"
        assert WebUI(inside).probe().scheduler


def test_two_pairs_of_credentials(tmp_path):
    file = lora(tmp_path / "a.safetensors")
    with running(tmp_path / "server", auth="bob:secret", uploader_auth="eve:other") as double:
        client = WebUI(double.url, "bob:secret", "eve:other")
        assert client.probe() == webui.Abilities(True, True, True, False)
        client.upload(file, "ours", "at-1")
        assert client.queue(PROMPT)
        with pytest.raises(webui.Final, match=r"'bob'.*check webui_auth .the uploader's users"):
            WebUI(double.url, "bob:secret").probe()


def test_a_wrong_password_names_the_user_and_never_the_password(tmp_path, monkeypatch):
    with running(tmp_path / "server", auth="bob:secret", uploader_auth="eve:other") as double:
        said = []
        for pairs in (("bob:hunter2",), ("bob:secret", "eve:hunter2"), (None,)):
            with pytest.raises(webui.Final) as wrong:
                WebUI(double.url, *pairs).probe()
            said.append(str(wrong.value))
            assert wrong.value.__cause__ is None
        host = double.url
        assert said == [
            f"{host} does not know user 'bob' with this password: check webui_auth",
            f"{host} does not know user 'eve' with this password: check webui_uploader_auth "
            "(the uploader's users can be others than the WebUI's)",
            f'{host} wants a user and a password: set webui_auth to "user:password"',
        ]
        words = {"detail": "bob:secret is odd"}
        double.fault({"on": "GET /sdapi/v1/options", "what": "status", "status": 400, "json": words})
        with pytest.raises(webui.Final, match=r"bob:\*\*\* is odd"):
            WebUI(double.url, "bob:secret").probe()
    for auth in ("bob", ":secret"):
        with pytest.raises(webui.Final, match="user:password") as wrong:
            WebUI(double.url, auth)
        assert "secret" not in str(wrong.value)


def test_what_is_there(tmp_path):
    for parts in ({"uploader": False}, {"scheduler": False}):
        with running(tmp_path / "server", **parts) as double:
            there = WebUI(double.url).probe()
            assert (there.uploader, there.scheduler) == (parts.get("uploader", True), parts.get("scheduler", True))


def test_paused_is_told(double):
    double.control(paused=True)
    assert WebUI(double.url).probe().paused


def test_nobody_there_and_no_api(tmp_path):
    with running(tmp_path / "server", api=False) as double, pytest.raises(webui.Final, match="--api"):
        WebUI(double.url).probe()
    with pytest.raises(webui.Unreachable, match=f"{double.url} refuses the connection"):
        WebUI(double.url).probe()
    with pytest.raises(webui.Final, match="no name that the network knows"):
        WebUI("http://nobody.invalid:7860").probe()


def test_something_else_at_this_address(double):
    double.fault({"on": "GET /sdapi/v1/options", "what": "html", "status": 200})
    with pytest.raises(webui.Final, match="is no WebUI"):
        WebUI(double.url).probe()
    double.fault({"on": "GET /sdapi/v1/options", "what": "html", "status": 302})
    with pytest.raises(webui.Final, match="redirect"):
        WebUI(double.url).probe()
    double.fault({"on": "GET /sdapi/v1/options", "what": "html", "status": 502})
    with pytest.raises(webui.Unreachable, match="502"):
        WebUI(double.url).probe()


def test_the_double_asks_for_a_user_without_telling_how(tmp_path):
    with running(tmp_path / "server", auth="bob:secret") as double:
        answer = requests.get(f"{double.url}/sdapi/v1/options", timeout=30)
        assert answer.status_code == 401 and "WWW-Authenticate" not in answer.headers
        assert requests.get(f"{double.url}/sdapi/v1/loras", timeout=30).status_code == 200
