"""Everything that a server can do wrong, one after the other: the pictures are right in the end, or marked."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sampler_kit import Sweep, assert_clean
from webui_kit import Double, running, until

UPLOAD = "POST /upload_lora_model"
QUEUE = "POST /agent-scheduler/v1/queue/txt2img"
STATE = "GET /agent-scheduler/v1/queue"
RESULTS = "GET /agent-scheduler/v1/task/*/results"
PROMPTS = "a cat --d 1\na dog\n"
DONE = {"done": 4}


@pytest.fixture
def double(tmp_path: Path) -> Iterator[Double]:
    with running(tmp_path / "server", seconds=0.02, last_sleep=0.3) as found:
        found.control(files=["theirs.safetensors"])
        yield found


@pytest.fixture
def sweep(tmp_path: Path, double: Double) -> Sweep:
    found = Sweep(tmp_path / "a", [double.url], PROMPTS)
    found.run("k0", epochs=2)
    return found


@pytest.mark.parametrize(
    "fault",
    [
        {"on": UPLOAD, "what": "error-after"},
        {"on": UPLOAD, "what": "error-before", "times": 2},
        {"on": UPLOAD, "what": "cut-before"},
        {"on": UPLOAD, "what": "cut-mid"},
        {"on": UPLOAD, "what": "cut-after"},
        {"on": UPLOAD, "what": "html", "status": 502},
        {"on": UPLOAD, "what": "answer", "json": {"success": False, "message": "x already exists, set overwrite"}},
        {"on": QUEUE, "what": "cut-after", "times": 2},
        {"on": QUEUE, "what": "cut-before"},
        {"on": QUEUE, "what": "error-before"},
        {"on": QUEUE, "what": "html", "status": 429},
        {"on": STATE, "what": "html", "nth": 2, "times": 2},
        {"on": RESULTS, "what": "cut-answer"},
        {"on": RESULTS, "what": "html", "status": 504},
        {"on": "POST /models/query_hash_lora", "what": "error-before"},
        {"on": "POST /sdapi/v1/refresh-loras", "what": "cut-before"},
        {"on": "GET /sdapi/v1/loras", "what": "html", "nth": 2},
        {"on": "POST /delete/lora_model", "what": "cut-after"},
        {"task": "empty-reason", "nth": 2},
        {"task": "gone"},
        {"task": "no-lora", "nth": 3},
    ],
    ids=lambda fault: "-".join(str(fault[key]) for key in ("on", "what", "task") if key in fault).replace("/", "_"),
)
def test_what_goes_wrong_once_is_made_good(double, sweep, fault):
    double.fault(fault)
    code, said = sweep.sample()
    assert (code, sweep.states()) == (0, DONE), said
    assert sweep.left_over() == []
    assert_clean(double, "theirs.safetensors")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "state", "words"),
    [
        ({"task": "fail", "reason": "no such thing", "times": -1}, "failed", "no such thing"),
        ({"task": "gone", "times": -1}, "failed", "gone from the server's disk"),
        ({"task": "no-lora", "times": -1}, "base model only", "without the LoRA"),
        ({"on": QUEUE, "what": "status", "status": 422, "times": -1}, "failed", "422"),
        ({"on": UPLOAD, "what": "early", "status": 413, "times": -1}, "failed", "413"),
    ],
)
def test_what_stays_wrong_is_marked_and_made_again_when_a_person_asks(double, sweep, fault, state, words):
    double.fault(fault)
    code, said = sweep.sample()
    assert (code, sweep.states()) == (1, {state: 4}), said
    assert all(words in about["reason"] for about in sweep.pictures().values())
    assert words in said
    assert sweep.left_over() == []
    assert_clean(double, "theirs.safetensors")
    double.control(clear=True)
    assert (sweep.sample()[0], sweep.states()) == (0, DONE)


def test_a_picture_of_another_model_is_marked(double, tmp_path):
    sweep = Sweep(tmp_path / "b", [double.url])
    sweep.prompts = sweep.prompts.with_suffix(".json")
    sweep.prompts.write_text('[{"prompt": "a cat", "override_settings": {"sd_model_checkpoint": "base_model"}}]')
    sweep.run("k0", epochs=1, prompt_path=str(sweep.prompts))
    double.fault({"task": "wrong-model"})
    code, said = sweep.sample()
    assert (code, sweep.states()) == (1, {"wrong checkpoint": 1}) and "surprise_model" in said
    assert sweep.sample()[0] == 0 and sweep.states() == {"done": 1}


def test_a_server_that_fails_an_unknown_lora_is_brought_it_again(double, sweep):
    """As Forge and ComfyUI do; its list was lost without an outage that we could see."""
    double.set(unknown_fails=True)
    double.control(paused=True)
    process = sweep.start()
    until(lambda: len(double.log()["tasks"]) == 4)
    double.control(forget_loras=True, paused=False, tasks=[{"prompt": "theirs"}])
    said = process.communicate(timeout=30)[0]
    assert process.returncode == 0 and sweep.states() == DONE, said
    assert_clean(double, "theirs.safetensors")


def test_pictures_that_wait_for_a_proof_go_on_when_it_fails(double, tmp_path):
    """All are drawn without the LoRA; the one that is drawn once more to see whether it is used now fails."""
    sweep = Sweep(tmp_path / "b", [double.url], "a cat\na dog\na cow\n")
    sweep.run("k0", epochs=1)
    double.fault({"task": "no-lora", "times": 3}, {"task": "fail", "nth": 4, "reason": "no such thing"})
    code, said = sweep.sample(seconds=30)
    assert (code, sweep.states()) == (1, {"failed": 1, "done": 2}), said
    assert_clean(double, "theirs.safetensors")


def test_infotext_is_off(double, sweep):
    """The results answer 500 for ever; the zip has the picture, but nothing proves the LoRA."""
    double.set(infotext=False)
    code, _ = sweep.sample()
    assert (code, sweep.states()) == (1, {"base model only": 4})
    assert len(double.log()["tasks"]) <= 8, "one picture of each checkpoint is tried again, twice"
    assert_clean(double, "theirs.safetensors")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"auth": "bob:hunter2"}, "wants a user and a password"),
        ({"api": False}, "--api"),
        ({"uploader": False}, "uploader"),
    ],
)
def test_what_no_waiting_cures_ends_at_once(double, sweep, settings, words):
    double.set(**settings)
    code, said = sweep.sample(seconds=10)
    assert code == 1 and words in said and "4 samples are missing" in said
    assert sweep.states() == {}
    double.set(auth="", api=True, uploader=True)
    assert sweep.sample()[0] == 0 and sweep.states() == DONE


def test_users_and_passwords_come_from_the_environment(double, sweep):
    double.set(auth="bob:hunter2", uploader_auth="eve:other")
    pair = {"AUTOMATE_TRAIN_WEBUI_AUTH": "bob:hunter2", "AUTOMATE_TRAIN_WEBUI_UPLOADER_AUTH": "eve:other"}
    code, said = sweep.sample(**pair)
    assert (code, sweep.states()) == (0, DONE), said
    for file in sweep.folder.path.rglob("*"):
        assert not file.is_file() or not any(word in file.read_bytes() for word in (b"hunter2", b"eve:other")), file


def test_without_a_scheduler_pictures_are_drawn_at_once(double, sweep):
    double.set(scheduler=False)
    assert sweep.sample()[0] == 0 and sweep.states() == DONE
    assert len(double.asked("/sdapi/v1/txt2img")) == 4
    assert_clean(double, "theirs.safetensors")


def test_a_broken_picture_that_is_drawn_at_once_is_drawn_once_more(double, sweep):
    double.set(scheduler=False)
    half = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()
    broken = {"images": [half], "info": "{}"}
    double.fault({"on": "POST /sdapi/v1/txt2img", "what": "answer", "nth": 2, "json": broken})
    code, said = sweep.sample()
    assert (code, sweep.states()) == (0, DONE), said
    assert len(double.asked("/sdapi/v1/txt2img")) == 5
    assert_clean(double, "theirs.safetensors")


def test_without_an_uploader_a_shared_folder_does(double, tmp_path):
    double.set(uploader=False)
    sweep = Sweep(tmp_path / "b", [double.url], PROMPTS, webui_lora_dir=double.log()["root"])
    sweep.run("k0", epochs=2)
    code, said = sweep.sample()
    assert (code, sweep.states()) == (0, DONE), said
    assert_clean(double, "theirs.safetensors")


def test_somebody_has_paused_the_queue(double, sweep):
    double.control(paused=True)
    process = sweep.start()
    until(lambda: len(double.log()["tasks"]) == 4)
    until(lambda: len(double.asked("/agent-scheduler/v1/queue")) >= 4)
    double.control(tasks=[{"prompt": "theirs"}])
    assert sweep.states() == {} and not double.asked("/agent-scheduler/v1/queue/resume")
    double.control(paused=False, tasks=[{"prompt": "theirs too"}])
    said = process.communicate(timeout=30)[0]
    assert process.returncode == 0 and "queue is paused: resume it" in said and sweep.states() == DONE
    assert [task["params"]["prompt"] for task in double.log()["tasks"]][-2:] == ["theirs", "theirs too"]


def test_a_paused_queue_is_resumed_where_that_is_wished(double, sweep):
    double.control(paused=True)
    assert sweep.sample("--resume-queue")[0] == 0 and sweep.states() == DONE


def test_a_queue_that_stays_paused_is_left_clean(double, sweep):
    double.control(paused=True)
    code, said = sweep.sample("--wait-limit", "1")
    assert code == 1 and "4 samples are missing" in said
    assert double.log()["tasks"] == []
    assert_clean(double, "theirs.safetensors")


@pytest.mark.slow
def test_out_of_memory_pauses_the_queue_for_all(double, sweep):
    double.fault({"task": "oom"})
    process = sweep.start()
    until(lambda: double.log()["paused"])
    time.sleep(1)
    assert not double.asked("/agent-scheduler/v1/queue/resume")
    double.control(paused=False)
    double.control(tasks=[{"prompt": "theirs"}])
    said = process.communicate(timeout=30)[0]
    assert process.returncode == 0 and "out of memory" in said and sweep.states() == DONE


@pytest.mark.slow
def test_an_idle_queue_with_our_tasks_is_woken(double, sweep):
    double.set(last_sleep=1.5)
    double.control(tasks=[{"prompt": "theirs"}])
    until(lambda: [task for task in double.log()["tasks"] if task["status"] == "done"])
    code, said = sweep.sample()
    assert (code, sweep.states()) == (0, DONE), said


@pytest.mark.slow
def test_a_task_that_never_ends_is_told_and_woken_where_that_is_wished(double, sweep):
    double.fault({"task": "stuck"})
    double.control(tasks=[{"prompt": "theirs"}])
    process = sweep.start("--stuck-limit", "1", "--nudge")
    said = process.communicate(timeout=40)[0]
    assert process.returncode == 0 and "is stuck at one task" in said and sweep.states() == DONE


@pytest.mark.slow
def test_a_server_that_is_away_and_comes_back(double, sweep):
    """Killed while it draws: its LoRA list is lost, its queue is not."""
    double.set(seconds=0.3)
    process = sweep.start()
    until(lambda: sweep.states()["done"] >= 1)
    double.kill()
    threading.Timer(3.0, double.start).start()
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 0 and sweep.states() == DONE, said
    assert f"{double.url} " in said and "goes on" in said
    assert sweep.left_over() == []
    assert_clean(double, "theirs.safetensors")


@pytest.mark.slow
def test_a_server_that_stays_away_is_given_up_and_cleaned_by_the_next_session(double, sweep):
    double.set(seconds=0.3)
    process = sweep.start("--outage-limit", "1")
    until(lambda: len(double.log()["tasks"]) == 4)
    double.kill()
    said = process.communicate(timeout=30)[0]
    assert process.returncode == 1 and "samples are missing" in said
    double.start()
    assert sweep.sample()[0] == 0 and sweep.states() == DONE
    assert_clean(double, "theirs.safetensors")


@pytest.mark.slow
def test_a_person_who_stops_it_finds_a_clean_server(double, sweep):
    double.set(seconds=0.5)
    process = sweep.start()
    until(lambda: sweep.states()["done"] >= 1)
    process.terminate()
    said = process.communicate(timeout=15)
    assert process.returncode == 130, said
    until(lambda: double.log()["files"] == ["theirs.safetensors"])
    assert [task for task in double.log()["tasks"] if task["status"] == "pending"] == []
    assert sweep.sample()[0] == 0 and sweep.states() == DONE


def test_a_name_of_ours_with_another_file_gets_a_new_name(double, sweep):
    """As after a hash that was cached during the final move, or somebody who uploads under our name."""
    double.fault({"on": UPLOAD, "what": "cut-mid", "nth": 1})
    process = sweep.start()
    until(lambda: double.asked("/upload_lora_model"))
    process.kill()
    process.communicate()
    from automate_train.store.sample_journal import SampleJournal
    from automate_train.store.sweep_file import sweep_id

    samples = SampleJournal(sweep.folder.journal)
    [name, *_] = samples.uploads(double.url)
    theirs = f"automate-train-{sweep_id(sweep.folder, samples.journal)}/{name}.safetensors"
    double.control(files=[theirs])
    code, said = sweep.sample()
    assert (code, sweep.states()) == (0, DONE), said
    assert "another file" in said
