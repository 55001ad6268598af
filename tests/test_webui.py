"""The client at a server that answers as it should and, far more often, as it should not: probe, queue, pictures."""

from __future__ import annotations

import base64
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from webui_kit import Double, lora, running, until

from automate_train import webui
from automate_train.webui import WebUI

RESULTS = "GET /agent-scheduler/v1/task/*/results"
QUEUE = "POST /agent-scheduler/v1/queue/txt2img"
PROMPT = {"prompt": "a cat <lora:ours:1>", "seed": 7, "steps": 4, "width": 64, "height": 64}


@pytest.fixture
def double(tmp_path: Path) -> Iterator[Double]:
    with running(tmp_path / "server", last_sleep=0.3) as found:
        yield found


def final(client: WebUI, task_id: str, seconds: float = 15) -> webui.Failed | list[webui.Picture]:
    def ended():
        found = client.result(task_id)
        return None if isinstance(found, webui.Waiting) else [found]

    return until(ended, seconds)[0]


# --- addresses and credentials


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
        with pytest.raises(webui.Final, match="'bob'.*check webui_auth .the uploader's users"):
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


# --- the probe


def test_what_is_there(tmp_path):
    for parts in ({"uploader": False}, {"scheduler": False}):
        with running(tmp_path / "server", **parts) as double:
            there = WebUI(double.url).probe()
            assert (there.uploader, there.scheduler) == (parts.get("uploader", True), parts.get("scheduler", True))


def test_paused_is_told(double):
    double.control(paused=True)
    assert WebUI(double.url).probe().paused


def test_nobody_there_and_no_api(tmp_path):
    with running(tmp_path / "server", api=False) as double:
        with pytest.raises(webui.Final, match="--api"):
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


# --- the queue


def test_a_picture_with_our_lora(double, tmp_path):
    file = lora(tmp_path / "a.safetensors")
    client = WebUI(double.url)
    client.upload(file, "ours", "at-1")
    client.show("ours", "at-1")
    [made] = final(client, client.queue({**PROMPT, "prompt": "한글 <lora:ours:0.8>"}))
    assert made.png.startswith(b"\x89PNG") and (made.width, made.height) == (64, 64)
    assert webui.judge(made.infotext, "ours", webui.lora_hash(file), "base_model.safetensors") == "done"
    assert "Seed: 7," in made.infotext and "한글" in made.infotext


@pytest.mark.parametrize(
    ("fault", "verdict", "words"),
    [
        ("no-lora", "base model only", "without the LoRA"),
        ("wrong-model", "wrong checkpoint", "surprise_model"),
    ],
)
def test_a_picture_that_is_not_what_was_asked_for(double, tmp_path, fault, verdict, words):
    file = lora(tmp_path / "a.safetensors")
    client = WebUI(double.url)
    client.upload(file, "ours", "at-1")
    client.show("ours", "at-1")
    double.fault({"task": fault})
    [made] = final(client, client.queue(PROMPT))
    assert webui.judge(made.infotext, "ours", webui.lora_hash(file), "base_model") == verdict
    assert words in webui.explain(verdict, made.infotext, "ours", "base_model")


def test_a_grid_is_left_out(double):
    client = WebUI(double.url)
    made = final(client, client.queue({**PROMPT, "batch_size": 3}))
    assert [f"Seed: {seed}," in one.infotext for seed, one in zip((7, 8, 9), made, strict=True)] == [True] * 3
    assert {one.width for one in made} == {64}


def test_several_wait_and_none_ever_shows_as_running(double):
    double.set(seconds=0.6)
    client = WebUI(double.url)
    ids = [client.queue({**PROMPT, "seed": seed}) for seed in (1, 2, 3)]
    until(lambda: client.state().current)
    state = client.state()
    assert state.current.startswith("task(txt2img-") and not state.paused
    assert state.pending_ids == tuple(ids) and state.total == 3
    assert client.result(ids[0]) == webui.Waiting("pending")
    client.cancel(ids[2])
    assert all(isinstance(final(client, each), list) for each in ids[:2])
    assert client.result(ids[2]) == webui.Failed("Task not found")
    client.cancel(ids[2])  # gone is what was wanted
    assert len(double.log()["pictures"]) == 2


def test_a_queue_that_overslept_needs_a_kick(double):
    """Stall 1: what is queued while the runner is in its last sleep stays pending until somebody kicks."""
    double.set(last_sleep=0.8)
    client = WebUI(double.url)
    final(client, client.queue(PROMPT))
    task_id = client.queue(PROMPT)
    client.resume()  # at once: in vain
    time.sleep(1.5)
    assert client.result(task_id) == webui.Waiting("pending")
    assert client.state() == webui.Queue(None, False, (task_id,), 1)
    client.resume()
    assert isinstance(final(client, task_id), list)


def test_paused_and_resumed(double):
    double.control(paused=True)
    client = WebUI(double.url)
    task_id = client.queue(PROMPT)
    assert client.state().paused
    client.resume()
    assert isinstance(final(client, task_id), list)


def test_failures_and_their_reasons(double):
    double.fault({"task": "empty-reason"})
    client = WebUI(double.url)
    found = final(client, client.queue(PROMPT))
    assert found == webui.Failed("failed: the server gives no reason (often an unknown sampler_name)")
    double.fault({"task": "fail", "reason": "KeyError:\n 'x' " + "y" * 5000})
    until(lambda: client.resume() is None and client.state().total == 0)
    task_id = client.queue(PROMPT)
    until(lambda: client.resume() is None and isinstance(client.result(task_id), webui.Failed))
    assert client.result(task_id).reason.startswith("failed: KeyError: 'x' yyy")
    assert len(client.result(task_id).reason) < 400


def test_out_of_memory_pauses_the_queue_for_all(double):
    double.fault({"task": "oom"})
    client = WebUI(double.url)
    found = final(client, client.queue(PROMPT))
    assert isinstance(found, webui.Failed) and found.out_of_memory
    assert until(lambda: client.state().paused)


def test_done_but_the_pictures_are_gone(double):
    double.fault({"task": "gone"})
    client = WebUI(double.url)
    assert "gone from the server's disk" in final(client, client.queue(PROMPT)).reason


@pytest.mark.parametrize("old", [False, True])
def test_without_infotext_the_zip_has_the_picture(tmp_path, old):
    with running(tmp_path / "server", infotext=False, old_results=old) as double:
        client = WebUI(double.url)
        [made] = final(client, client.queue(PROMPT))
        assert made.png.startswith(b"\x89PNG") and made.infotext == ""
        assert "nothing proves" in webui.explain("base model only", made.infotext, "ours", None)


def test_without_infotext_and_zip_it_is_final(double):
    double.set(infotext=False)
    client = WebUI(double.url)
    task_id = client.queue(PROMPT)
    until(lambda: double.log()["tasks"][0]["status"] == "done")
    double.fault({"on": RESULTS, "what": "error-before", "times": -1})
    assert "update the agent scheduler" in client.result(task_id).reason


def test_a_500_for_a_task_that_still_waits_is_no_failure(double):
    double.control(paused=True)
    client = WebUI(double.url)
    task_id = client.queue(PROMPT)
    double.fault({"on": RESULTS, "what": "error-before"})
    with pytest.raises(webui.Again):
        client.result(task_id)
    assert client.result(task_id) == webui.Waiting("pending")


@pytest.mark.parametrize("what", ["html", "cut-before", "cut-after", "cut-answer"])
def test_a_poll_that_gets_lost_costs_nothing(double, what):
    client = WebUI(double.url)
    task_id = client.queue(PROMPT)
    double.fault({"on": RESULTS, "what": what, "status": 504})
    with pytest.raises(webui.Again, match=double.url):
        client.result(task_id)
    assert isinstance(final(client, task_id), list)


def test_a_restart_keeps_the_tasks(double):
    double.set(seconds=0.5)
    client = WebUI(double.url)
    ids = [client.queue(PROMPT) for _ in range(2)]
    until(lambda: client.state().current)
    double.kill()
    with pytest.raises(webui.Again, match="refuses the connection|broke the connection"):
        client.result(ids[0])
    double.start()
    assert all(isinstance(final(client, each), list) for each in ids)


@pytest.mark.parametrize("what", ["error-after", "cut-after", "cut-answer"])
def test_a_lost_answer_to_the_queue_is_found_again(double, what):
    double.control(paused=True, tasks=[{"prompt": "a cat <lora:ours:1>", "seed": 8}, {"prompt": "other", "seed": 7}])
    double.fault({"on": QUEUE, "what": what})
    client = WebUI(double.url)
    assert client.find(PROMPT["prompt"], 7) is None
    with pytest.raises(webui.Again):
        client.queue(PROMPT)
    found = client.find(PROMPT["prompt"], 7)
    assert found == double.log()["tasks"][2]["id"]
    assert client.find(PROMPT["prompt"], 7, known={found}) is None
    client.resume()
    final(client, found)
    assert client.find("<lora:ours:1>", 7) == found  # now from the history


def test_a_task_far_down_the_queue_is_found(double):
    crowd = [{"prompt": "theirs", "seed": 7} for _ in range(120)]
    double.control(paused=True, tasks=crowd)
    client = WebUI(double.url)
    task_id = client.queue(PROMPT)
    assert client.find("<lora:ours:1>", 7) == task_id
    assert client.state().total == 121


def test_refusals_of_the_queue(double):
    client = WebUI(double.url)
    with pytest.raises(webui.Final, match=r"422.*body\.steps value is not a valid integer"):
        client.queue({**PROMPT, "steps": "many"})
    with pytest.raises(webui.Final, match="Not found script"):
        client.queue({**PROMPT, "script_name": "absent"})
    for status, kind in ((429, webui.Again), (503, webui.Again), (403, webui.Final), (404, webui.Final)):
        double.fault({"on": QUEUE, "what": "html", "status": status})
        with pytest.raises(kind, match=str(status)):
            client.queue(PROMPT)
    double.fault({"on": QUEUE, "what": "answer", "json": {"task_id": "../../history/clear"}})
    with pytest.raises(webui.Again, match="without a task id"):
        client.queue(PROMPT)


def test_what_is_everybodys_is_never_touched(double, tmp_path):
    """One round of all calls, then: nobody else's task, file or switch has changed, and no such route was asked."""
    double.control(paused=True, files=["somebody/x.safetensors"], tasks=[{"prompt": "theirs"}])
    client = WebUI(double.url)
    client.probe()
    client.upload(lora(tmp_path / "a.safetensors"), "ours", "at-1")
    client.show("ours", "at-1")
    task_id = client.queue(PROMPT)
    client.find("<lora:ours:1>", 7)
    client.cancel(task_id)
    client.delete("ours", "at-1")
    log = double.log()
    assert log["files"] == ["somebody/x.safetensors"] and not log["overwrite"]
    assert [each["params"]["prompt"] for each in log["tasks"]] == ["theirs"]
    asked = {each["path"] for each in log["requests"]}
    assert not [path for path in asked if "clear" in path or "requeue" in path or "overwrite" in path]


# --- without the scheduler


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


def test_a_stuck_queue_is_freed_by_a_small_job(double):
    """Stall 3, in newer WebUIs after a task that raised."""
    double.fault({"task": "stuck"})
    client = WebUI(double.url)
    client.queue(PROMPT)
    task_id = client.queue(PROMPT)
    until(lambda: double.log()["tasks"][0]["status"] == "failed")
    client.resume()
    assert client.result(task_id) == webui.Waiting("pending")
    client.txt2img(PROMPT)
    assert isinstance(final(client, task_id), list)


# --- pictures from a server that is not trusted


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
    with pytest.raises(AssertionError):
        assert found.reason == ""
    import re

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
        assert isinstance(client.result("some-id"), webui.Failed)
    except webui.Again:
        pass


def test_an_answer_without_end_is_not_read_to_its_end(double):
    double.fault({"on": "GET /sdapi/v1/options", "what": "answer", "json": {"x": "y" * (9 << 20)}})
    with pytest.raises(webui.Final, match="more than 8 MiB"):
        WebUI(double.url).probe()


# --- the judgement

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


def test_the_double_asks_for_a_user_without_telling_how(tmp_path):
    with running(tmp_path / "server", auth="bob:secret") as double:
        answer = requests.get(f"{double.url}/sdapi/v1/options", timeout=30)
        assert answer.status_code == 401 and "WWW-Authenticate" not in answer.headers
        assert requests.get(f"{double.url}/sdapi/v1/loras", timeout=30).status_code == 200
