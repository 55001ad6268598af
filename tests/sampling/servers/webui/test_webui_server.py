"""A WebUI before any work: addresses, credentials, its problems; each said in words that help."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import requests
from webui_kit import Double, lora, running

from automate_train.config.prompts import Prompt
from automate_train.sampling.servers.protocol import Lora, Refused, SampleRequest, Unavailable
from automate_train.sampling.servers.webui.http import base_url
from automate_train.sampling.servers.webui.server import WebUI

REQUEST = SampleRequest(Prompt("a cat", fields={"steps": 4}), 7)


@pytest.fixture
def double(tmp_path: Path) -> Iterator[Double]:
    with running(tmp_path / "server") as found:
        yield found


def problem(server: WebUI) -> str:
    """The only one that there is."""
    [found] = server.problems()
    return f"{found.severity}: {found}"


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
    assert base_url(given) == kept
    assert WebUI(given).url == kept


@pytest.mark.parametrize("given", ["", "ftp://h", "http://", "http://h:port", "http://h:99999", "http://a b/"])
def test_what_is_no_address(given):
    with pytest.raises(Refused, match="webui_url"):
        WebUI(given)


def test_the_address_may_end_in_the_api_or_hold_the_user(tmp_path):
    with running(tmp_path / "server", auth="bob:s e/cret") as double:
        inside = double.url.replace("//", "//bob:s%20e%2Fcret@") + "/sdapi/v1/"
        assert WebUI(inside).problems() == []


def test_two_pairs_of_credentials(tmp_path):
    file = lora(tmp_path / "a.safetensors")
    with running(tmp_path / "server", auth="bob:secret", uploader_auth="eve:other") as double:
        server = WebUI(double.url, auth="bob:secret", uploader_auth="eve:other")
        assert server.problems() == []
        server.bring(Lora("ours", file))
        assert server.draw(REQUEST, 10)
        found = problem(WebUI(double.url, auth="bob:secret"))
        assert re.search(r"error: .*'bob'.*check webui_auth .the uploader's users", found)


def test_a_wrong_password_names_the_user_and_never_the_password(tmp_path, monkeypatch):
    with running(tmp_path / "server", auth="bob:secret", uploader_auth="eve:other") as double:
        said = []
        for auth, uploader_auth in (("bob:hunter2", None), ("bob:secret", "eve:hunter2"), (None, None)):
            server = WebUI(double.url, auth=auth, uploader_auth=uploader_auth)
            said.append(problem(server))
            with pytest.raises(Refused) as wrong:
                server.bring(Lora("ours", lora(tmp_path / "a.safetensors")))
            assert wrong.value.__cause__ is None
        host = double.url
        where = ", in a config file (automate-train sample: --config FILE) or in AUTOMATE_TRAIN_WEBUI"
        assert said == [
            f"error: {host} does not know user 'bob' with this password: check webui_auth{where}_AUTH",
            f"error: {host} does not know user 'eve' with this password: check webui_uploader_auth "
            f"(the uploader's users can be others than the WebUI's){where}_UPLOADER_AUTH",
            f'error: {host} wants a user and a password: set webui_auth to "user:password"{where}_AUTH',
        ]
        words = {"detail": "bob:secret is odd"}
        double.fault({"on": "GET /sdapi/v1/options", "what": "status", "status": 400, "json": words})
        assert "bob:*** is odd" in problem(WebUI(double.url, auth="bob:secret"))
    for auth in ("bob", ":secret"):
        with pytest.raises(Refused, match="user:password") as wrong:
            WebUI(double.url, auth=auth)
        assert "secret" not in str(wrong.value)


@pytest.mark.parametrize(
    ("settings", "severity", "words"),
    [
        ({"uploader": False}, "error", "has no model uploader"),
        ({"scheduler": False}, "warning", "has no agent scheduler"),
        ({"api": False}, "error", "--api"),
    ],
)
def test_what_is_not_there(tmp_path, settings, severity, words):
    with running(tmp_path / "server", **settings) as double:
        found = problem(WebUI(double.url))
        assert found.startswith(severity) and words in found


def test_paused_is_told(double):
    double.control(paused=True)
    assert problem(WebUI(double.url)).startswith(f"warning: {double.url}: its queue is paused")


def test_a_queue_that_goes_away_is_an_error(double):
    """Another way of drawing would be no help: its tickets could not be collected."""
    server = WebUI(double.url)
    assert server.problems() == []
    double.set(scheduler=False)
    assert problem(server).startswith(f"error: {double.url} has no agent scheduler any more")


def test_nobody_there(double):
    double.kill()
    with pytest.raises(Unavailable, match=f"{double.url} refuses the connection"):
        WebUI(double.url).problems()
    with pytest.raises(Unavailable, match="has a name that the network does not know"):
        WebUI("http://nobody.invalid:7860").problems()


def test_something_else_at_this_address(double):
    double.fault({"on": "GET /sdapi/v1/options", "what": "html", "status": 200})
    assert re.match("error.*is not a WebUI", problem(WebUI(double.url)))
    double.fault({"on": "GET /sdapi/v1/options", "what": "html", "status": 302})
    assert "redirect" in problem(WebUI(double.url))
    double.fault({"on": "GET /sdapi/v1/options", "what": "html", "status": 502})
    with pytest.raises(Unavailable, match="502"):
        WebUI(double.url).problems()


def test_what_is_everybodys_is_never_touched(double, tmp_path):
    """One round of all calls, then: nobody else's task, file or switch has changed, and no such route was asked."""
    double.control(paused=True, files=["somebody/x.safetensors"], tasks=[{"prompt": "theirs"}])
    ours = Lora("ours", lora(tmp_path / "a.safetensors"))
    server = WebUI(double.url, "at-1")
    server.problems()
    server.bring(ours)
    request = replace(REQUEST, lora=ours)
    ticket = server.draw(request, 10)
    assert server.find(request, []) == ticket
    server.withdraw("ours", [ticket, ""])
    server.take_away("ours")
    log = double.log()
    assert log["files"] == ["somebody/x.safetensors"] and not log["overwrite"]
    assert [each["params"]["prompt"] for each in log["tasks"]] == ["theirs"]
    asked = {each["path"] for each in log["requests"]}
    assert not [path for path in asked if "clear" in path or "requeue" in path or "overwrite" in path]


def test_the_double_asks_for_a_user_without_telling_how(tmp_path):
    with running(tmp_path / "server", auth="bob:secret") as double:
        answer = requests.get(f"{double.url}/sdapi/v1/options", timeout=30)
        assert answer.status_code == 401 and "WWW-Authenticate" not in answer.headers
        assert requests.get(f"{double.url}/sdapi/v1/loras", timeout=30).status_code == 200
