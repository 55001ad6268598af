"""The scheduler's queue over real sockets: stalls, failures that look like success, lost answers, restarts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from webui_kit import Double, lora, running, until

from automate_train.sampling.servers.protocol import BaseModel, Failed, Picture, Progress, Refused, Unavailable
from automate_train.sampling.servers.webui.http import Http
from automate_train.sampling.servers.webui.lora_file import lora_hashes
from automate_train.sampling.servers.webui.lora_proof import verdict
from automate_train.sampling.servers.webui.loras import Loras
from automate_train.sampling.servers.webui.scheduler import Scheduler
from automate_train.sampling.servers.webui.txt2img import txt2img

RESULTS = "GET /agent-scheduler/v1/task/*/results"
QUEUE = "POST /agent-scheduler/v1/queue/txt2img"
PROMPT = {"prompt": "a cat <lora:ours:1>", "seed": 7, "steps": 4, "width": 64, "height": 64}


def bring(double: Double, file: Path) -> None:
    loras = Loras(Http(double.url), "at-1")
    loras.upload(file, "ours")
    loras.show("ours")


@pytest.fixture
def double(tmp_path: Path) -> Iterator[Double]:
    with running(tmp_path / "server", last_sleep=0.3) as found:
        yield found


def final(client: Scheduler, task_id: str, seconds: float = 15) -> Failed | Picture:
    return until(lambda: client.collect(PROMPT, task_id), seconds)


def test_a_picture_with_our_lora(double, tmp_path):
    file = lora(tmp_path / "a.safetensors")
    client = Scheduler(Http(double.url))
    bring(double, file)
    made = final(client, client.draw({**PROMPT, "prompt": "한글 <lora:ours:0.8>"}))
    assert made.png.startswith(b"\x89PNG") and (made.width, made.height) == (64, 64)
    assert verdict(made.infotext, "ours", lora_hashes(file), BaseModel("base_model")).state == "done"
    assert "Seed: 7," in made.infotext and "한글" in made.infotext


@pytest.mark.parametrize(
    ("fault", "state", "words"),
    [
        ("no-lora", "base model only", "without the LoRA"),
        ("wrong-model", "wrong checkpoint", "surprise_model"),
    ],
)
def test_a_picture_that_is_not_what_was_asked_for(double, tmp_path, fault, state, words):
    file = lora(tmp_path / "a.safetensors")
    client = Scheduler(Http(double.url))
    bring(double, file)
    double.fault({"task": fault})
    made = final(client, client.draw(PROMPT))
    found = verdict(made.infotext, "ours", lora_hashes(file), BaseModel("base_model"))
    assert found.state == state and words in found.reason


def test_a_grid_is_left_out(double):
    client = Scheduler(Http(double.url))
    made = final(client, client.draw({**PROMPT, "batch_size": 3}))
    assert len(made.others) == 3 and "Seed: 7," in made.infotext and made.width == 64


def test_several_wait_and_none_ever_shows_as_running(double):
    double.set(seconds=0.6)
    client = Scheduler(Http(double.url))
    ids = [client.draw({**PROMPT, "seed": seed}) for seed in (1, 2, 3)]
    until(lambda: client.progress(()).current)
    progress = client.progress(ids)
    assert progress.current.startswith("task(txt2img-") and not progress.paused
    assert progress.finished == () and progress.queued == 3
    assert client.collect(PROMPT, ids[0]) is None
    client.withdraw("", [ids[2]])
    assert all(isinstance(final(client, each), Picture) for each in ids[:2])
    assert client.collect(PROMPT, ids[2]) == Failed("Task not found")
    client.withdraw("", [ids[2]])  # gone is what was wanted
    assert len(double.log()["pictures"]) == 2


def test_an_idle_queue_is_woken(double):
    """Stall 1: what is queued while the runner is in its last sleep stays pending until somebody wakes it."""
    double.set(last_sleep=1.5)
    client = Scheduler(Http(double.url))
    final(client, client.draw(PROMPT))
    task_id = client.draw(PROMPT)
    client.wake()  # at once: in vain
    until(lambda: not double.log()["runner"])
    assert client.collect(PROMPT, task_id) is None
    assert client.progress([task_id]) == Progress((), 1)
    client.wake()
    assert isinstance(final(client, task_id), Picture)


def test_paused_and_resumed(double):
    double.control(paused=True)
    client = Scheduler(Http(double.url))
    task_id = client.draw(PROMPT)
    assert client.progress(()).paused
    client.wake()
    assert isinstance(final(client, task_id), Picture)


def test_failures_and_their_reasons(double):
    double.fault({"task": "empty-reason"})
    client = Scheduler(Http(double.url))
    found = final(client, client.draw(PROMPT))
    assert found == Failed("failed: the server gives no reason (often an unknown sampler_name)")
    double.fault({"task": "fail", "reason": "KeyError:\n 'x' " + "y" * 5000})
    until(lambda: client.wake() is None and client.progress(()).queued == 0)
    task_id = client.draw(PROMPT)
    until(lambda: client.wake() is None and isinstance(client.collect(PROMPT, task_id), Failed))
    assert client.collect(PROMPT, task_id).reason.startswith("failed: KeyError: 'x' yyy")
    assert len(client.collect(PROMPT, task_id).reason) < 400


def test_out_of_memory_pauses_the_queue_for_all(double):
    double.fault({"task": "oom"})
    client = Scheduler(Http(double.url))
    found = final(client, client.draw(PROMPT))
    assert isinstance(found, Failed) and found.out_of_memory
    assert until(lambda: client.progress(()).paused)


def test_done_but_the_pictures_are_gone(double):
    double.fault({"task": "gone"})
    client = Scheduler(Http(double.url))
    assert "gone from the server's disk" in final(client, client.draw(PROMPT)).reason


@pytest.mark.parametrize("old", [False, True])
def test_without_infotext_the_zip_has_the_picture(tmp_path, old):
    with running(tmp_path / "server", infotext=False, old_results=old) as double:
        client = Scheduler(Http(double.url))
        made = final(client, client.draw(PROMPT))
        assert made.png.startswith(b"\x89PNG") and made.infotext == ""
        assert "nothing proves" in verdict(made.infotext, "ours", (), None).reason


def test_without_infotext_and_zip_it_is_final(double):
    double.set(infotext=False)
    client = Scheduler(Http(double.url))
    task_id = client.draw(PROMPT)
    until(lambda: double.log()["tasks"][0]["status"] == "done")
    double.fault({"on": RESULTS, "what": "error-before", "times": -1})
    assert "update the agent scheduler" in client.collect(PROMPT, task_id).reason


def test_a_500_for_a_task_that_still_waits_is_no_failure(double):
    double.control(paused=True)
    client = Scheduler(Http(double.url))
    task_id = client.draw(PROMPT)
    double.fault({"on": RESULTS, "what": "error-before"})
    with pytest.raises(Unavailable):
        client.collect(PROMPT, task_id)
    assert client.collect(PROMPT, task_id) is None


@pytest.mark.parametrize("what", ["html", "cut-before", "cut-after", "cut-answer"])
def test_a_poll_that_gets_lost_costs_nothing(double, what):
    client = Scheduler(Http(double.url))
    task_id = client.draw(PROMPT)
    double.fault({"on": RESULTS, "what": what, "status": 504})
    with pytest.raises(Unavailable, match=double.url):
        client.collect(PROMPT, task_id)
    assert isinstance(final(client, task_id), Picture)


def test_a_restart_keeps_the_tasks(double):
    double.set(seconds=0.5)
    client = Scheduler(Http(double.url))
    ids = [client.draw(PROMPT) for _ in range(2)]
    until(lambda: client.progress(()).current)
    double.kill()
    with pytest.raises(Unavailable, match=r"(refuses|broke) the connection"):
        client.collect(PROMPT, ids[0])
    double.start()
    assert all(isinstance(final(client, each), Picture) for each in ids)


def test_a_server_without_its_scheduler(double):
    client = Scheduler(Http(double.url))
    task_id = client.draw(PROMPT)
    double.set(scheduler=False)
    for call in (lambda: client.collect(PROMPT, task_id), lambda: client.withdraw("", [task_id])):
        with pytest.raises(Refused, match="404"):
            call()
    double.set(scheduler=True)
    assert isinstance(final(client, task_id), Picture)


@pytest.mark.parametrize("what", ["error-after", "cut-after", "cut-answer"])
def test_a_lost_answer_to_the_queue_is_found_again(double, what):
    double.control(paused=True, tasks=[{"prompt": "a cat <lora:ours:1>", "seed": 8}, {"prompt": "other", "seed": 7}])
    double.fault({"on": QUEUE, "what": what})
    client = Scheduler(Http(double.url))
    assert client.find(PROMPT) is None
    with pytest.raises(Unavailable):
        client.draw(PROMPT)
    found = client.find(PROMPT)
    assert found == double.log()["tasks"][2]["id"]
    assert client.find(PROMPT, {found}) is None
    client.wake()
    final(client, found)
    assert client.find({"prompt": "<lora:ours:1>", "seed": 7}) == found  # now from the history


def test_a_task_far_down_the_queue_is_found(double):
    crowd = [{"prompt": "theirs", "seed": 7} for _ in range(120)]
    double.control(paused=True, tasks=crowd)
    client = Scheduler(Http(double.url))
    task_id = client.draw(PROMPT)
    assert client.find({"prompt": "<lora:ours:1>", "seed": 7}) == task_id
    assert client.progress(()).queued == 121


def test_refusals_of_the_queue(double):
    client = Scheduler(Http(double.url))
    with pytest.raises(Refused, match=r"422.*body\.steps value is not a valid integer"):
        client.draw({**PROMPT, "steps": "many"})
    with pytest.raises(Refused, match="Not found script"):
        client.draw({**PROMPT, "script_name": "absent"})
    for status, kind in ((429, Unavailable), (503, Unavailable), (403, Refused), (404, Refused)):
        double.fault({"on": QUEUE, "what": "html", "status": status})
        with pytest.raises(kind, match=str(status)):
            client.draw(PROMPT)
    double.fault({"on": QUEUE, "what": "answer", "json": {"task_id": "../../history/clear"}})
    with pytest.raises(Unavailable, match="without a task id"):
        client.draw(PROMPT)


def test_a_stuck_queue_is_freed_by_a_small_job(double):
    """Stall 3, in newer WebUIs after a task that raised."""
    double.fault({"task": "stuck"})
    double.control(paused=True)  # so that both wait when it begins
    client = Scheduler(Http(double.url))
    client.draw(PROMPT)
    task_id = client.draw(PROMPT)
    client.wake()
    until(lambda: double.log()["tasks"][0]["status"] == "failed")
    client.wake()
    assert client.collect(PROMPT, task_id) is None
    txt2img(Http(double.url), PROMPT, 30)
    assert isinstance(final(client, task_id), Picture)
